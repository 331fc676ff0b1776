"""The layers of a machine's disk: qcow2 files, each upon another, the lowest upon the base image.

One layer is written on. The others are frozen: snapshots pin them. What lies upon what stands in the files
themselves, so it can never differ from what QEMU sees. Blocks; files that a QEMU has open are its own business.
"""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vmcontroller.errors import HypervisorFailed, SnapshotDamaged
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.qemu.record import Base

_NAME = re.compile(r"([1-9][0-9]*)\.qcow2\Z")
#: Magic, version, and where the name of the file below stands (docs/interop/qcow2.txt in QEMU's source).
_HEADER = struct.Struct(">4sIQI")
_MAGIC = b"QFI\xfb"
_LONGEST_NAME = 1023


@dataclass(frozen=True)
class Layers:
    """The layers in one directory, known by their numbers."""

    folder: Path

    def path(self, number: int) -> Path:
        """A layer's file."""
        return self.folder / f"{number}.qcow2"

    def numbers(self) -> list[int]:
        """All that there are."""
        return sorted(int(found[1]) for path in self.folder.iterdir() if (found := _NAME.match(path.name)))

    def below(self, number: int) -> int | None:
        """The layer that one lies upon, or None for the base image. SnapshotDamaged when the file is no layer."""
        found = _NAME.match(_below(self.path(number)))
        return int(found[1]) if found else None

    def chain(self, number: int) -> list[int]:
        """A layer and all below it, the lowest first."""
        found = [number]
        while (below := self.below(found[0])) is not None:
            found.insert(0, below)
        return found

    def upon(self, number: int) -> list[int]:
        """The layers that lie directly upon one."""
        return [other for other in self.numbers() if self.below(other) == number]

    def add(self, base: Base, below: int | None = None) -> int:
        """Put an empty layer upon another, or upon the base image; its number."""
        number = max(self.numbers(), default=0) + 1
        name, kind = (f"{below}.qcow2", "qcow2") if below else (base.path, base.format)
        # -u: what lies below is known, and may be open elsewhere.
        run("create", "-q", "-u", "-f", "qcow2", "-F", kind, "-b", name, self.path(number), str(base.virtual_bytes))
        self.path(number).chmod(0o600)
        files.sync(self.folder)
        return number

    def drop(self, number: int) -> None:
        """Remove a layer."""
        self._seal(number).unlink(missing_ok=True)
        self.path(number).unlink(missing_ok=True)

    def unneeded(self, pinned: Collection[int], written: int) -> list[int]:
        """Layers that nothing needs: not written on, not pinned, and nothing upon them."""
        return [n for n in self.numbers() if n != written and n not in pinned and not self.upon(n)]

    def mergeable(self, pinned: Collection[int], written: int) -> tuple[int, int] | None:
        """A layer that only the one upon it needs, and that one, if both are frozen; None when there is no such pair.

        Then the upper one's data can go down into the lower one: seen from above nothing changes, at any moment.
        """
        for lower in self.numbers():
            upper = self.upon(lower)
            if lower != written and lower not in pinned and len(upper) == 1 and upper[0] != written:
                return lower, upper[0]
        return None

    def merge(self, upper: int) -> None:
        """Put a layer's data down into the one below it."""
        run("commit", "-q", "-d", "-f", "qcow2", self.path(upper))

    def put_upon(self, number: int, below: int) -> None:
        """Say that a layer lies upon another one that has the same content as the one before."""
        run("rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"{below}.qcow2", self.path(number))

    # -- whether they are whole

    def seal(self, number: int) -> None:
        """Note what a frozen layer's file holds."""
        files.write(self._seal(number), sha256_of(self.path(number)))

    def unseal(self, number: int) -> None:
        """Say that a layer will change."""
        self._seal(number).unlink(missing_ok=True)

    def verify(self, number: int) -> None:
        """SnapshotDamaged unless a frozen layer is what it was when it was sealed; one without a seal is consistent."""
        path = self.path(number)
        try:
            sealed = self._seal(number).read_text(encoding="ascii")
        except FileNotFoundError:
            _check(path)
            return
        if not path.exists() or sha256_of(path) != sealed:
            raise SnapshotDamaged(f"the disk layer {path} is not what it was; restore another snapshot")

    def _seal(self, number: int) -> Path:
        return self.folder / f"{number}.sha256"


def sha256_of(path: Path) -> str:
    """The hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(path: Path) -> str:
    try:
        with path.open("rb") as file:
            magic, _, offset, size = _HEADER.unpack(file.read(_HEADER.size))
            file.seek(offset)
            name = file.read(min(size, _LONGEST_NAME))
    except (OSError, struct.error) as error:
        raise SnapshotDamaged(f"the disk layer {path} cannot be read: {error}; restore another snapshot") from error
    if magic != _MAGIC:
        raise SnapshotDamaged(f"{path} is no disk layer any more; restore another snapshot")
    return name.decode("utf-8", "surrogateescape")


def _check(path: Path) -> None:
    try:
        run("check", "-q", "-f", "qcow2", path)
    except HypervisorFailed as error:
        raise SnapshotDamaged(f"the disk layer {path} is damaged: {error}; restore another snapshot") from error


def run(*arguments: str | Path) -> str:
    """Run qemu-img; what it said. HypervisorFailed holds its complaint, DiskFull where there is no room."""
    done = subprocess.run(("qemu-img", *arguments), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    words = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
    if tells_no_room(words):
        raise files.explain(OSError(28, "No space left on device", str(arguments[-1])))
    raise HypervisorFailed(f"qemu-img {arguments[0]}: {words}")


def tells_no_room(words: str) -> bool:
    """Whether QEMU complains of a full disk."""
    return "No space left" in words or "Disk quota" in words
