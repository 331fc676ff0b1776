"""Snapshots in libvirt: inside the qcow2 disk, with memory when the machine runs.

libvirt names its files after a snapshot and knows times in seconds, so ours have names of their own, and a number;
what they are called stands in their description. Blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from vmcontroller.errors import SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.libvirt.link import binding
from vmcontroller.machine import Snapshot


@dataclass(frozen=True)
class _Label:
    """What is written on a snapshot. ``number`` grows with each one, whatever the clock does."""

    name: str
    description: str
    taken: float
    number: int


def take(domain: Any, name: str, description: str, now: float) -> None:
    """Keep the domain as it is. ``now`` is in seconds since the epoch. SnapshotExists."""
    labels = [label for label, _ in _all(domain)]
    if any(label.name == name for label in labels):
        raise SnapshotExists(f"there is a snapshot {name!r} already; choose another name or delete it first")
    number = max((label.number for label in labels), default=0) + 1
    wish = Element("domainsnapshot")
    SubElement(wish, "name").text = f"vmcontroller-{number}"
    # JSON escapes whatever XML could not hold.
    SubElement(wish, "description").text = json.dumps(asdict(_Label(name, description, now, number)))
    with _awake(domain):
        domain.snapshotCreateXML(tostring(wish, encoding="unicode"), 0)


@contextmanager
def _awake(domain: Any) -> Iterator[None]:
    """A saved domain's programs are in no snapshot of its disk: wake it for a moment, paused."""
    libvirt = binding()
    saved = domain.hasManagedSaveImage()
    if saved:
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    try:
        yield
    finally:
        if saved:
            domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)


def restore(domain: Any, name: str) -> None:
    """Bring back what the snapshot holds; the domain is off then, with a saved state if it held memory."""
    libvirt = binding()
    snapshot = _existing(domain, name)
    if domain.hasManagedSaveImage():
        domain.managedSaveRemove(0)
    try:
        domain.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)
        if domain.isActive():
            domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)
    finally:
        if domain.isActive():
            domain.destroy()


def delete(domain: Any, name: str) -> None:
    """Remove a snapshot. UnknownSnapshot."""
    _existing(domain, name).delete(0)


def listed(domain: Any) -> list[Snapshot]:
    """All of them, oldest first."""
    return [Snapshot(label.name, label.description, label.taken) for label, _ in _all(domain)]


def _existing(domain: Any, name: str) -> Any:
    for label, snapshot in _all(domain):
        if label.name == name:
            return snapshot
    raise UnknownSnapshot(f"there is no snapshot {name!r}; listSnapshots tells which there are")


def _all(domain: Any) -> list[tuple[_Label, Any]]:
    """Ours; what somebody else took has no label."""
    found = [(label, snapshot) for snapshot in domain.listAllSnapshots() if (label := _label(snapshot))]
    return sorted(found, key=lambda pair: pair[0].number)


def _label(snapshot: Any) -> _Label | None:
    text = fromstring(snapshot.getXMLDesc()).findtext("description", "")
    try:
        return _Label(**json.loads(text))
    except (ValueError, TypeError):
        return None
