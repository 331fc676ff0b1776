"""The served directory: every operation on its files, and no way out of it.

A path is walked name by name, each directory opened relative to the one before and never through a symbolic link;
links are read and walked like the rest, so that one that leads out is refused however fast somebody moves it. Names
that begin with ``.__`` are this server's own and do not exist for anybody else. Knows files, but no verb and no socket.

Unix only, as the guest is. Every method raises OSError, or ChirpError where the rules above say no.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmcontroller.wire.chirp import HIDDEN, ChirpError, Number, Stat, stat_of

#: How a file is called while it comes in: it lies in the root, from where it can be renamed into place.
INCOMING = f"{HIDDEN}incoming."
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
#: A pipe must not make us wait for its other end.
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK
_MAX_LINKS = 40
_LETTERS = {"c": os.O_CREAT, "t": os.O_TRUNC, "a": os.O_APPEND, "x": os.O_EXCL, "s": os.O_SYNC}
_PERMISSIONS = 0o777


def clear_incoming(root: Path) -> None:
    """Remove what transfers left behind that were under way when the agent was killed."""
    for left in root.glob(f"{INCOMING}*"):
        left.unlink(missing_ok=True)


class ServedFiles:
    """The files under one directory, for one session."""

    def __init__(self, root: Path) -> None:
        #: The served directory, open.
        self.root = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self._unsettled: dict[tuple[int, int], int] = {}

    def close(self) -> None:
        """Let go of the directory."""
        for directory in self._unsettled.values():
            os.close(directory)
        os.close(self.root)

    # -- walking

    @contextmanager
    def place(self, path: str, follow: bool = True) -> Iterator[tuple[int, str]]:
        """The open directory that a path leads to, and the last name in it; "." is the directory itself."""
        opened = [os.dup(self.root)]
        try:
            name = self._walk(opened, list(reversed(_names(path))), follow)
            yield opened[-1], name
        finally:
            for directory in opened:
                os.close(directory)

    def _walk(self, opened: list[int], names: list[str], follow: bool) -> str:
        links = 0
        while names:
            name = names.pop()
            if name == "..":
                _leave(opened)
                continue
            _check_name(name)
            target = _link_target(name, opened[-1]) if names or follow else None
            if target is not None:
                links += 1
                names += reversed(_target_names(target, links))
            elif not names:
                return name
            else:
                opened.append(os.open(name, _DIRECTORY, dir_fd=opened[-1]))
        return "."

    # -- files

    @contextmanager
    def reading(self, path: str) -> Iterator[tuple[int, Stat]]:
        """A regular file open for reading, and what it is."""
        fd = self.open(path, "r", 0)
        try:
            yield fd, stat_of(os.fstat(fd))
        finally:
            os.close(fd)

    def open(self, path: str, letters: str, mode: int) -> int:
        """Open a regular file as Chirp's letters say (r w c t a x s); returns a descriptor."""
        flags = _open_flags(letters)
        with self.place(path) as (directory, name):
            fd = os.open(name, flags | _CAREFUL, mode & _PERMISSIONS, dir_fd=directory)
        try:
            _require_regular(fd)
        except ChirpError:
            os.close(fd)
            raise
        return fd

    def stat(self, path: str, follow: bool = True) -> Stat:
        """What a file is; with ``follow`` false, a symbolic link itself."""
        with self.place(path, follow) as (directory, name):
            return stat_of(os.stat(name, dir_fd=directory, follow_symlinks=False))

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits of a file or directory."""
        with self._opened(path, os.O_RDONLY) as fd:
            os.fchmod(fd, mode & _PERMISSIONS)

    def truncate(self, path: str, size: int) -> None:
        """Cut or extend a file."""
        with self._opened(path, os.O_WRONLY) as fd:
            os.ftruncate(fd, size)

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        with self.place(path) as (directory, name):
            fd = os.open(name, flags | _CAREFUL, dir_fd=directory)
        try:
            yield fd
        finally:
            os.close(fd)

    def utime(self, path: str, accessed: int, modified: int) -> None:
        """Set a file's times, in seconds since 1970."""
        with self.place(path) as (directory, name):
            os.utime(name, (accessed, modified), dir_fd=directory, follow_symlinks=False)

    def accessible(self, path: str, mode: int) -> bool:
        """Whether the agent may do with a file what the bits of access(2) say."""
        with self.place(path) as (directory, name):
            return os.access(name, mode, dir_fd=directory)

    def unlink(self, path: str) -> None:
        """Remove a file or a symbolic link."""
        with self.place(path, follow=False) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def rename(self, path: str, new_path: str) -> None:
        """Move a file, link or directory; a file that stands there is replaced."""
        with self.place(path, False) as (directory, name), self.place(new_path, False) as (new_directory, new_name):
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=new_directory)
            self.unsettled(new_directory)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link, which must not lead out."""
        depth = len(_names(path)) - 1
        for name in target.split("/"):
            depth += {"..": -1, ".": 0, "": 0}.get(name, 1)
            if depth < 0 or target.startswith("/"):
                raise ChirpError(Number.NOT_AUTHORIZED)
        with self.place(path, follow=False) as (directory, name):
            os.symlink(target, name, dir_fd=directory)
            self.unsettled(directory)

    def readlink(self, path: str) -> str:
        """Where a symbolic link points."""
        with self.place(path, follow=False) as (directory, name):
            return os.readlink(name, dir_fd=directory)

    # -- directories

    def names(self, path: str) -> list[str]:
        """What lies in a directory, with ``.`` and ``..``, in no order."""
        with self._opened(path, _DIRECTORY) as fd:
            return [".", "..", *(name for name in os.listdir(fd) if not name.startswith(HIDDEN))]

    def entries(self, path: str) -> Iterator[tuple[str, Stat]]:
        """What lies in a directory, with ``.`` and ``..``, each with what it is; links are not followed."""
        with self._opened(path, _DIRECTORY) as fd:
            itself = stat_of(os.fstat(fd))
            yield from ((".", itself), ("..", itself))
            for name in os.listdir(fd):
                if not name.startswith(HIDDEN):
                    try:
                        yield name, stat_of(os.stat(name, dir_fd=fd, follow_symlinks=False))
                    except FileNotFoundError:
                        pass  # it was removed meanwhile

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""
        with self.place(path, follow=False) as (directory, name):
            os.mkdir(name, mode & _PERMISSIONS, dir_fd=directory)
            self.unsettled(directory)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        with self.place(path, follow=False) as (directory, name):
            os.rmdir(name, dir_fd=directory)

    def rmall(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it."""
        with self.place(path, follow=False) as (directory, name):
            if name == ".":
                raise ChirpError(Number.NOT_AUTHORIZED)
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)

    def space(self) -> os.statvfs_result:
        """The file system's size and what is left of it."""
        return os.fstatvfs(self.root)

    # -- what must be on disk before success is reported

    def unsettled(self, directory: int) -> None:
        """Remember that names in this open directory have changed."""
        status = os.fstat(directory)
        key = (status.st_dev, status.st_ino)
        if key not in self._unsettled:
            self._unsettled[key] = os.dup(directory)

    def settle(self) -> None:
        """Bring the changed names to disk: one fsync for a directory, however many files came into it."""
        while self._unsettled:
            _, directory = self._unsettled.popitem()
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _names(path: str) -> list[str]:
    """The names that a request's path is made of; it cannot climb."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names:
        raise ChirpError(Number.NOT_AUTHORIZED)
    return names


def _check_name(name: str) -> None:
    if name.startswith(HIDDEN):
        raise ChirpError(Number.NOT_AUTHORIZED)


def _leave(opened: list[int]) -> None:
    """Follow the ``..`` of a symbolic link, at most up to the root."""
    if len(opened) == 1:
        raise ChirpError(Number.NOT_AUTHORIZED)
    os.close(opened.pop())


def _link_target(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None  # it is no link
        raise


def _target_names(target: str, links: int) -> list[str]:
    if target.startswith("/") or links > _MAX_LINKS:
        raise ChirpError(Number.NOT_AUTHORIZED)
    return [name for name in target.split("/") if name not in ("", ".")]


def _open_flags(letters: str) -> int:
    unknown = set(letters) - {"r", "w", *_LETTERS}
    if unknown or not set(letters) & {"r", "w"}:
        raise ChirpError(Number.INVALID_REQUEST)
    access = os.O_RDWR if {"r", "w"} <= set(letters) else os.O_WRONLY if "w" in letters else os.O_RDONLY
    return access | sum(_LETTERS.get(letter, 0) for letter in set(letters))


def _require_regular(fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise ChirpError(Number.IS_DIR)
    if not stat.S_ISREG(mode):
        raise ChirpError(Number.IS_A_PIPE)
