"""Generations of a machine: a memory file and a frozen disk layer, with a manifest that is written and synced last.

Without a whole manifest a generation does not exist; what its files hold is known by hash and looked at before it
is used. A snapshot is a generation with a name, a saved state is one without a layer of its own. Blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from vmcontroller.errors import SnapshotDamaged, SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.qemu.layers import sha256_of
from vmcontroller.hypervisors.qemu.record import Home
from vmcontroller.machine import Snapshot

MAKING = "making"
#: Octets that are hashed at a time, and seconds between two looks at a file that grows.
PIECE = 1 << 20
_GLANCE = 0.001
MEMORY, MANIFEST = "memory", "manifest.json"
_SAVED = "saved-"


@dataclass(frozen=True)
class Generation:
    """``layer`` is the disk's frozen layer, 0 in a saved state. ``sha256`` and ``octets`` are the memory file's,
    "" and 0 when no programs are held; then ``platform`` (what they need) is empty. ``number`` grows with each
    snapshot of a machine, whatever the clock does. ``pause`` is how many seconds the guest stood still for it.
    """

    name: str
    description: str
    taken: float
    number: int
    layer: int
    sha256: str = ""
    octets: int = 0
    platform: Mapping[str, Any] | None = None
    pause: float = 0.0

    @property
    def holds_programs(self) -> bool:
        return bool(self.sha256)


def read(folder: Path) -> Generation:
    """The generation in a directory. SnapshotDamaged when there is none, or none that is whole."""
    try:
        return Generation(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SnapshotDamaged(f"{folder} holds no whole state: {error}; {_remedy(folder)}") from error


def _remedy(folder: Path) -> str:
    if folder.name.startswith(_SAVED):
        return "restore a snapshot, or call discardState, and it starts from its disk"
    return "restore another snapshot"


def _whole(folder: Path) -> Generation | None:
    try:
        return read(folder)
    except SnapshotDamaged:
        return None


def write(folder: Path, generation: Generation) -> None:
    """Make a directory a generation, for good."""
    files.write(folder / MANIFEST, json.dumps(asdict(generation)))


def verify(folder: Path, generation: Generation) -> None:
    """SnapshotDamaged unless the memory file is the one that the manifest tells of."""
    memory = folder / MEMORY
    if not generation.holds_programs:
        return
    try:
        whole = memory.stat().st_size == generation.octets and sha256_of(memory) == generation.sha256
    except OSError as error:
        raise SnapshotDamaged(f"{memory} cannot be read: {error}; {_remedy(folder)}") from error
    if not whole:
        raise SnapshotDamaged(f"{memory} is not what was saved: it was cut or changed; {_remedy(folder)}")


def hash_growing(file: int, written: Event) -> tuple[str, int]:
    """The hash of an open file that is written from its beginning to its end until ``written`` is set; how many octets.

    One processor at most: QEMU, which writes the file, gets only what nobody else wants.
    """
    digest, octets, room = hashlib.sha256(), 0, memoryview(bytearray(PIECE))
    while (more := _await_more(file, octets, written)) > 0:
        read = os.preadv(file, [room[:more]], octets)
        digest.update(room[:read])
        octets += read
    return digest.hexdigest(), octets


def _await_more(file: int, begin: int, written: Event) -> int:
    """How many octets, at most a piece, can be read; none at the end."""
    while True:
        ended, more = written.is_set(), os.fstat(file).st_size - begin
        if ended or more >= PIECE:
            return min(more, PIECE)
        written.wait(_GLANCE)


def link_memory(source: Path, target: Path) -> None:
    """Give another directory the same memory file, if there is one; no copy: memory files never change."""
    if (source / MEMORY).exists():
        os.link(source / MEMORY, target / MEMORY)


# -- snapshots by name


def new_place(home: Home, name: str) -> Path:
    """Where a new snapshot will lie. SnapshotExists."""
    place = _place(home, name)
    if _whole(place):
        raise SnapshotExists(f"there is a snapshot {name!r} already; choose another name or delete it first")
    files.discard(place, MAKING)
    return place


def existing(home: Home, name: str) -> Path:
    """Where a snapshot lies. UnknownSnapshot."""
    place = _place(home, name)
    if not place.exists():
        raise UnknownSnapshot(f"there is no snapshot {name!r}; listSnapshots tells which there are")
    return place


def all_of(home: Home) -> dict[Path, Generation]:
    """Every whole snapshot with the place where it lies, oldest first."""
    places = home.snapshots.glob("[!.]*")
    found = {place: generation for place in places if (generation := _whole(place))}
    return dict(sorted(found.items(), key=lambda item: item[1].number))


def listed(home: Home) -> list[Snapshot]:
    """All snapshots, oldest first."""
    return [Snapshot(found.name, found.description, found.taken) for found in all_of(home).values()]


def next_number(home: Home) -> int:
    """A number that is larger than that of any snapshot."""
    return max((found.number for found in all_of(home).values()), default=0) + 1


def pinned(home: Home) -> set[int]:
    """The layers that snapshots hold."""
    return {found.layer for found in all_of(home).values()}


def move_pins(home: Home, source: int, target: int) -> None:
    """Let the snapshots of one layer hold another one that has the same content."""
    for place, found in all_of(home).items():
        if found.layer == source:
            write(place, replace(found, layer=target))


def _place(home: Home, name: str) -> Path:
    """A directory for any name: readable as far as that is safe, and never the same for two names."""
    readable = re.sub(r"[^0-9A-Za-z]+", "-", name)[:40]
    return home.snapshots / f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


# -- saved states


def new_saved(home: Home) -> Path:
    """An empty directory for a saved state; it counts when the record names it."""
    return Path(tempfile.mkdtemp(prefix=_SAVED, dir=home.path))


def save_again(home: Home, place: Path, found: Generation) -> str:
    """Make a saved state of a snapshot's memory; its name."""
    saved = new_saved(home)
    link_memory(place, saved)
    write(saved, found)
    return saved.name


def sweep(home: Home, saved: str) -> None:
    """Remove what a crash left half made or half removed, and every saved state but the one that counts."""
    files.sweep(home.path, MAKING)
    files.sweep(home.snapshots, MAKING)
    for path in home.path.glob(f"{_SAVED}*"):
        if path.name != saved:
            files.remove(path)
