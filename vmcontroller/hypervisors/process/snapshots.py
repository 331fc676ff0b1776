"""Snapshots of a process machine: its two directories as they were, under a name; no process is touched here.

A snapshot exists when its manifest does: it is written last, and the whole then gets its name in one step.
A restore is decided in one step, too: from then on a crash leads to the restored machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from vmcontroller.errors import SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.process.record import Home
from vmcontroller.machine import Snapshot

_MAKING = "making"
_DECIDED = ".restored"


@dataclass(frozen=True)
class _Manifest:
    """``number`` grows with each snapshot of a machine, whatever the clock does."""

    name: str
    description: str
    taken: float
    number: int


def take(home: Home, name: str, description: str, now: float) -> None:
    """Keep the machine's directories. ``now`` is in seconds since the epoch. SnapshotExists."""
    place = _place(home, name)
    if place.exists():
        raise SnapshotExists(f"there is a snapshot {name!r} already; choose another name or delete it first")
    number = max((manifest.number for manifest in _manifests(home)), default=0) + 1
    with files.draft(home.snapshots, _MAKING) as draft:
        for disk in home.disks:
            (draft / disk.name).mkdir(0o700)
            files.copy(disk, draft / disk.name)
        files.write(draft / "snapshot.json", json.dumps(asdict(_Manifest(name, description, now, number))))
        files.move(draft, place)


def restore(home: Home, name: str) -> None:
    """Bring the directories back as the snapshot has them. UnknownSnapshot."""
    kept = _existing(home, name)
    with files.draft(home.path, _MAKING) as draft:
        for disk in home.disks:
            (draft / disk.name).mkdir(0o700)
            files.copy(kept / disk.name, draft / disk.name)
        files.move(draft, home.path / _DECIDED)
    finish(home)


def finish(home: Home) -> None:
    """Complete a restore that was decided, and remove what a crash left half made."""
    restored = home.path / _DECIDED
    if restored.exists():
        for disk in home.disks:
            if (restored / disk.name).exists():
                files.remove(disk)
                files.move(restored / disk.name, disk)
        restored.rmdir()
    files.sweep(home.path, _MAKING)
    files.sweep(home.snapshots, _MAKING)


def delete(home: Home, name: str) -> None:
    """Remove a snapshot. UnknownSnapshot."""
    files.discard(_existing(home, name), _MAKING)


def listed(home: Home) -> list[Snapshot]:
    """All snapshots, oldest first."""
    found = sorted(_manifests(home), key=lambda manifest: manifest.number)
    return [Snapshot(manifest.name, manifest.description, manifest.taken) for manifest in found]


def _manifests(home: Home) -> list[_Manifest]:
    found = home.snapshots.glob("[!.]*/snapshot.json")
    return [_Manifest(**json.loads(path.read_text(encoding="utf-8"))) for path in found]


def _existing(home: Home, name: str) -> Path:
    place = _place(home, name)
    if not place.exists():
        raise UnknownSnapshot(f"there is no snapshot {name!r}; listSnapshots tells which there are")
    return place


def _place(home: Home, name: str) -> Path:
    """A directory for any name: readable as far as that is safe, and never the same for two names."""
    readable = re.sub(r"[^0-9A-Za-z]+", "-", name)[:40]
    return home.snapshots / f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
