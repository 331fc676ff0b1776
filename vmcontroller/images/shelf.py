"""Where images lie in the store, under their hashes, and which names they have. Blocking, and quick.

<sha256>/disk.<format>           the image, or what it was converted to; it is whole, or not there
<sha256>/disk.<format>.sha256    the hash of that file, as sha256sum writes it
<sha256>/manifest.json           of an image that was built here, with its kernel and initrd
names/<name>                     the hash that the name stands for
users/<user>                     the hash of the image that a VM was made from
.<what>-…                        something that is being made, or was when the power went
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmcontroller.errors import BadRequest, ImageDamaged, ImageInUse, NoSuchImage
from vmcontroller.images import manifest
from vmcontroller.images.hashing import write_text
from vmcontroller.images.manifest import Manifest

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
#: A VM's id, and what a plugin may put before it.
_USER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
#: So many digits of a hash name an image, too.
_ENOUGH = 8
DISK_FORMATS = ("qcow2", "vdi", "vmdk", "raw")


@dataclass(frozen=True)
class Entry:
    """One image on the shelf. ``octets`` counts all of its files; ``manifest`` is None where it was not built here."""

    sha256: str
    names: tuple[str, ...]
    users: tuple[str, ...]
    formats: tuple[str, ...]
    octets: int
    manifest: Manifest | None


class Shelf:
    """The store's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    # -- names

    def find(self, image: str) -> Path:
        """The file that is meant: a name's, a hash's, or that at a path; "" is the name "default". NoSuchImage."""
        wanted = image or DEFAULT
        sha256 = self.hash_of(wanted)
        if sha256:
            return self._disk(sha256)
        if not image:
            raise NoSuchImage(
                f"no image is named {DEFAULT!r} here: make one with vmcontroller image build, or name one"
            )
        if _NAME.match(image) and not os.path.lexists(image):
            raise NoSuchImage(
                f"no image is named {image!r}, and no file; vmcontroller image list shows which there are"
            )
        return Path(image)

    def hash_of(self, which: str) -> str:
        """The hash that a name, or the beginning of a hash, stands for; "" where there is none."""
        if _NAME.match(which):
            try:
                return (self.directory / "names" / which).read_text(encoding="ascii")
            except OSError:
                pass
        found = [sha256 for sha256 in self._hashes() if len(which) >= _ENOUGH and sha256.startswith(which)]
        return found[0] if len(found) == 1 else ""

    def name(self, name: str, sha256: str) -> None:
        """Let a name stand for an image from now on. BadRequest, OSError."""
        check_name(name)
        self._write("names", name, sha256)

    def rename(self, name: str, sha256: str) -> None:
        """Likewise; the image that had the name goes, unless it has another one or VMs use it. BadRequest, OSError."""
        before = self.hash_of(name)
        self.name(name, sha256)
        if before not in ("", sha256) and not self._names(before) and not self.users(before):
            self._remove(name, before)

    def _names(self, sha256: str) -> tuple[str, ...]:
        return tuple(name for name, stands_for in self._marks("names") if stands_for == sha256)

    # -- files

    def disk(self, sha256: str, formats: Sequence[str]) -> tuple[Path, str] | None:
        """The image's disk in the first of the formats that is there, and that format."""
        places = ((self._place(sha256) / f"disk.{format}", format) for format in formats)
        return next(((path, format) for path, format in places if path.exists()), None)

    def _disk(self, sha256: str) -> Path:
        told = manifest.read(self._place(sha256))
        found = self.disk(sha256, (told.format,) if told else DISK_FORMATS)
        if found is None:
            raise NoSuchImage(f"the image {sha256[:12]} has lost its disk: remove it with vmcontroller image rm")
        return found[0]

    def _place(self, sha256: str) -> Path:
        return self.directory / sha256

    @contextmanager
    def draft(self, what: str) -> Iterator[Path]:
        """A directory in which something is made; it is removed with what is left in it. OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = Path(tempfile.mkdtemp(prefix=f".{what}-{os.getpid()}-", dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self, what: str, is_alive: Callable[[int], bool] = lambda pid: pid == os.getpid()) -> None:
        """Remove the drafts that dead processes left. By default only this process makes ``what``."""
        for path in self.directory.glob(f".{what}-*"):
            pid = path.name.split("-")[1]
            if not (pid.isdigit() and is_alive(int(pid))):
                shutil.rmtree(path, ignore_errors=True)

    def add_disk(self, sha256: str, draft: Path, format: str, own_sha256: str) -> Path:
        """Take in what an image was converted to; one that is there already stays. OSError."""
        place = self._place(sha256)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = place / f"disk.{format}"
        if not target.exists():
            write_text(place / f"{target.name}.sha256", f"{own_sha256}  {target.name}\n")
            sync(draft)
            draft.rename(target)
            sync(place)
        return target

    def own_hash(self, disk: Path) -> str:
        """The hash of what an image was converted to, as it was noted beside it; "" for any other file."""
        note = disk.with_name(f"{disk.name}.sha256")
        if disk.parent.parent != self.directory or not note.exists():
            return ""
        return note.read_text(encoding="ascii").split()[0]

    def add_built(self, draft: Path) -> None:
        """Take in the directory of an image that was built, with its manifest. OSError, ImageDamaged."""
        told = manifest.read(draft)
        if told is None:
            raise ImageDamaged(f"{draft} holds no manifest; build the image again")
        place = self._place(told.sha256)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (*told.files, manifest.FILE):
            sync(draft / name)
            os.replace(draft / name, place / name)
        sync(place)

    # -- users

    def hold(self, user: str, sha256: str) -> None:
        """A VM is about to be made from this image: it must not be removed. BadRequest, OSError."""
        _check_user(user)
        self._write("users", user, sha256)

    def release(self, user: str) -> None:
        """The VM is gone. BadRequest, OSError."""
        _check_user(user)
        (self.directory / "users" / user).unlink(missing_ok=True)

    def held(self, user: str) -> str:
        """The hash of the image that a VM was made from; "" where nobody said it."""
        return dict(self._marks("users")).get(user, "")

    def users(self, sha256: str) -> tuple[str, ...]:
        """Who holds the image."""
        return tuple(user for user, held in self._marks("users") if held == sha256)

    # -- all of it

    def entries(self) -> list[Entry]:
        """What is on the shelf, those with names first."""
        found = [self._entry(sha256) for sha256 in self._hashes()]
        return sorted(found, key=lambda entry: (not entry.names, entry.names, entry.sha256))

    def _entry(self, sha256: str) -> Entry:
        place = self._place(sha256)
        octets = sum(path.stat().st_size for path in place.iterdir())
        formats = tuple(format for format in DISK_FORMATS if (place / f"disk.{format}").exists())
        return Entry(sha256, self._names(sha256), self.users(sha256), formats, octets, manifest.read(place))

    def remove(self, which: str) -> list[str]:
        """Take a name off, and the image with its last one; returns what is gone. NoSuchImage, ImageInUse, OSError."""
        sha256 = self.hash_of(which)
        if not sha256:
            raise NoSuchImage(f"no image is named {which!r}; vmcontroller image list shows which there are")
        names = set(self._names(sha256))
        if names - {which} and which in names:
            (self.directory / "names" / which).unlink()
            return [which]
        self._remove(which, sha256)
        return [*sorted(names), sha256]

    def _remove(self, which: str, sha256: str) -> None:
        users = self.users(sha256)
        if users:
            some = ", ".join(users[:3]) + (" and others" if len(users) > 3 else "")
            raise ImageInUse(f"VMs are made from the image {which} ({some}); remove those first")
        for name in self._names(sha256):
            (self.directory / "names" / name).unlink(missing_ok=True)
        with self.draft("rm") as grave:
            if self._place(sha256).exists():
                self._place(sha256).rename(grave / sha256)

    def _hashes(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if _HASH.match(path.name))

    def _marks(self, kind: str) -> list[tuple[str, str]]:
        folder = self.directory / kind
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return [(file.name, file.read_text(encoding="ascii")) for file in files if not file.name.startswith(".")]

    def _write(self, kind: str, name: str, sha256: str) -> None:
        folder = self.directory / kind
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(folder / name, sha256)


def check_name(name: str) -> None:
    """BadRequest unless an image can have this name."""
    if not _NAME.match(name):
        raise BadRequest(f"{name!r} is no name for an image; use 1 to 64 of the characters a-z A-Z 0-9 . _ -")


def _check_user(user: str) -> None:
    if not _USER.match(user):
        raise BadRequest(f"{user!r} cannot stand for a VM; use 1 to 128 of the characters a-z A-Z 0-9 . _ -")


def sync(path: Path) -> None:
    """See that a file, or which names a directory holds, is on the disk. Windows keeps directories so by itself."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
