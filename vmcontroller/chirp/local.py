"""The host's side of a transfer: files that arrive whole or not at all, and what a directory holds.

What comes from a guest is not trusted: no name and no link of its may lead out of the directory that it goes into.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from vmcontroller.errors import TransferFailed
from vmcontroller.wire.chirp import HIDDEN, Stat, stat_of

_SUFFIX = ".part"


class Landing:
    """What arrives on the host: whole files, directories and links; settle() brings their names to disk."""

    def __init__(self) -> None:
        self._directories: set[Path] = set()

    def file(self, target: Path, mode: int) -> Arrival:
        """A file that arrives under this name, with these permissions."""
        self._directories.add(target.parent)
        return Arrival(target, mode)

    def directory(self, path: Path, mode: int) -> None:
        """Make a directory, unless one is there. TransferFailed: a link or a file stands in the way."""
        self._directories.add(path.parent)
        try:
            path.mkdir(mode | 0o700)
        except FileExistsError:
            if path.is_symlink() or not path.is_dir():
                raise TransferFailed(f"{path}: a directory is to be put here; remove what stands in the way") from None

    def link(self, target: str, path: Path) -> None:
        """Make a symbolic link; a file or link that stands there is replaced."""
        self._directories.add(path.parent)
        temporary = _temporary_beside(path)
        os.symlink(target, temporary)
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise

    def settle(self) -> None:
        """What arrived survives a loss of power from now on."""
        while self._directories:
            _sync_directory(self._directories.pop())


class Arrival:
    """A file on its way in, as a context: whoever leaves it without keep() leaves nothing behind."""

    def __init__(self, target: Path, mode: int) -> None:
        self._target = target
        self._mode = mode & 0o777
        self._temporary = _temporary_beside(target)

    def __enter__(self) -> Arrival:
        self._file = open(self._temporary, "xb", buffering=0, opener=_private)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, octets: memoryview) -> None:
        """Take the next octets. OSError."""
        while octets:
            octets = octets[self._file.write(octets) :]

    def keep(self) -> None:
        """It is whole: bring it to disk, then put it under its name. OSError."""
        os.fsync(self._file.fileno())
        self._file.close()
        os.chmod(self._temporary, self._mode)
        os.replace(self._temporary, self._target)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(8)}{_SUFFIX}")


def _sync_directory(directory: Path) -> None:
    if os.name == "posix":  # elsewhere a directory cannot be opened, and needs not
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@dataclass(frozen=True)
class Item:
    """Something in a directory tree. ``name`` is its path from the top, with slashes; ``target`` is a link's."""

    name: str
    status: Stat
    target: str = ""


def survey(top: Path) -> list[Item]:
    """Everything below a directory, parents before children. TransferFailed: something in it cannot be copied."""
    return list(_below(top, ""))


def _below(directory: Path, prefix: str) -> Iterator[Item]:
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        item = _item(entry, prefix + entry.name)
        yield item
        if item.status.is_directory():
            yield from _below(Path(entry.path), item.name + "/")


def _item(entry: os.DirEntry[str], name: str) -> Item:
    status = stat_of(entry.stat(follow_symlinks=False))
    target = os.readlink(entry.path).replace(os.sep, "/") if status.is_link() else ""
    check_name(entry.name, entry.path)
    return check_item(Item(name, status, target), entry.path)


def check_name(name: str, shown: str) -> None:
    """TransferFailed, about the path ``shown``: no file may be called ``name``, here or in the guest."""
    if name.startswith(HIDDEN) or "\n" in name or "\r" in name:
        raise TransferFailed(f"{shown}: names with a line break or with {HIDDEN} in front cannot be copied; rename it")
    if name in ("", ".", "..") or "/" in name or (os.sep != "/" and (os.sep in name or ":" in name)):
        raise TransferFailed(f"{shown}: {name!r} is no name for a file on this host")


def check_item(item: Item, shown: str) -> Item:
    """The item. TransferFailed, about the path ``shown``: it cannot be copied, or would lead out of the tree."""
    if item.status.is_link() and not _stays_inside(item):
        raise TransferFailed(f"{shown}: this symbolic link leads out of the directory that is copied, to {item.target}")
    if not (item.status.is_link() or item.status.is_directory() or item.status.is_file()):
        raise TransferFailed(f"{shown}: it is neither a file, a directory nor a link; remove it and try again")
    return item


def _stays_inside(item: Item) -> bool:
    depth = item.name.count("/")
    for name in item.target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(name, 1)
        if depth < 0:
            return False
    return not item.target.startswith("/")
