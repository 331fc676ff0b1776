"""Snapshots inside VirtualBox, which names them as it is told and keeps them in a tree.

VirtualBox refuses to delete a snapshot upon which more than one thing stands: two snapshots, or one and the machine
as it is now. Such a one is buried: it is marked among the machine's extra data, is no longer listed, and goes as soon
as VirtualBox lets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vmcontroller.errors import SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.virtualbox.link import Link
from vmcontroller.hypervisors.virtualbox.worker import Steps
from vmcontroller.machine import Snapshot

_BURIED = "vmcontroller/buried"


def listed(link: Link, uuid: str) -> list[Snapshot]:
    """All that count, oldest first."""
    found = [Snapshot(one.name, one.description, one.time_stamp / 1000) for one in _counting(link.machine(uuid))]
    return sorted(found, key=lambda snapshot: snapshot.taken)


def take(link: Link, uuid: str, name: str, description: str) -> Steps:
    """Keep the machine as it is. One that runs stands still for as long as its memory is written. SnapshotExists."""
    machine = link.machine(uuid)
    if any(one.name == name for one in _counting(machine)):
        raise SnapshotExists(f"there is a snapshot {name!r} already; delete it, or choose another name")
    yield lambda: link.ready(machine)
    with link.changing(uuid) as held:
        yield held.take_snapshot(name, description, True)[0]


def restore(link: Link, uuid: str, name: str) -> Steps:
    """Bring it back. UnknownSnapshot."""
    machine = link.machine(uuid)
    snapshot = _find(machine, name)
    yield lambda: link.ready(machine)
    with link.changing(uuid) as held:
        yield held.restore_snapshot(snapshot)
        yield from _clear(held)


def delete(link: Link, uuid: str, name: str) -> Steps:
    """Remove it, or bury it. UnknownSnapshot."""
    machine = link.machine(uuid)
    snapshot = _find(machine, name)
    yield lambda: link.ready(machine)
    with link.changing(uuid) as held:
        _bury(held, {*_buried(held), snapshot.id_p})
        try:
            yield from _clear(held)
        except Exception:
            _bury(held, _buried(held) - {snapshot.id_p})
            raise


def _clear(machine: Any) -> Steps:
    """Delete what was buried, as far as VirtualBox lets us by now."""
    while True:
        able = [one for one in _all(machine) if one.id_p in _buried(machine) and _deletable(machine, one)]
        if not able:
            return
        uuid = able[0].id_p
        yield machine.delete_snapshot(uuid)
        _bury(machine, _buried(machine) - {uuid})


def _deletable(machine: Any, snapshot: Any) -> bool:
    upon: int = len(snapshot.children) + (machine.current_snapshot.id_p == snapshot.id_p)
    return upon <= 1


def _buried(machine: Any) -> set[str]:
    return {uuid for uuid in machine.get_extra_data(_BURIED).split(",") if uuid}


def _bury(machine: Any, uuids: set[str]) -> None:
    machine.set_extra_data(_BURIED, ",".join(sorted(uuids)))


def _find(machine: Any, name: str) -> Any:
    for snapshot in _counting(machine):
        if snapshot.name == name:
            return snapshot
    raise UnknownSnapshot(f"there is no snapshot {name!r}; listSnapshots tells which there are")


def _counting(machine: Any) -> Iterator[Any]:
    buried = _buried(machine)
    return (snapshot for snapshot in _all(machine) if snapshot.id_p not in buried)


def _all(machine: Any) -> Iterator[Any]:
    """Each snapshot, parents before children."""
    waiting = [machine.find_snapshot("")] if machine.snapshot_count else []
    while waiting:
        snapshot = waiting.pop(0)
        yield snapshot
        waiting += snapshot.children
