"""Whole directories made, copied and removed so that a crash leaves either all or nothing that counts.

What is being made or removed bears a name that starts with a dot, and is swept away when it is found later.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmcontroller.errors import DiskFull, HypervisorFailed, StateDirectoryUnusable, VMControllerError

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PIECE = 1 << 30


def explain(error: OSError) -> VMControllerError:
    """The sentence for what the system said about a file of ours."""
    place = error.filename or "the state directory"
    if error.errno in _FULL:
        return DiskFull(f"{place}: no room is left on the disk; free some and try again")
    if error.errno in _DENIED:
        return StateDirectoryUnusable(f"{place}: {error.strerror}; make it writable, or choose another state_dir")
    return HypervisorFailed(f"{place}: {error.strerror or error}")


def write(path: Path, text: str) -> None:
    """Put a text into a file that only its owner reads; afterwards it is on the disk, whole."""
    draft = path.with_name(f".{path.name}.new")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def draft(folder: Path, label: str) -> Iterator[Path]:
    """A new directory to be filled and then moved to its place; removed if it is still there at the end."""
    path = Path(tempfile.mkdtemp(prefix=f".{label}-", dir=folder))
    try:
        yield path
    finally:
        remove(path)


def move(source: Path, target: Path) -> None:
    """Give a directory its place, for good. FileExistsError when that is taken."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    mode = stat.S_IMODE(source.stat().st_mode)
    source.chmod(mode | 0o700)  # Only a writable directory can change its parent.
    source.rename(target)
    target.chmod(mode)
    sync(target.parent)


def discard(path: Path, label: str) -> None:
    """Remove a directory; it is gone at once, even if what it held takes a while. Nothing happens without it."""
    if not path.exists():
        return
    with draft(path.parent, label) as grave:
        move(path, grave / path.name)


def remove(path: Path) -> None:
    """Remove a directory and all in it, also what its programs made unwritable. Nothing happens without it."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except PermissionError:
        _unlock(path)
        shutil.rmtree(path)


def _unlock(path: Path) -> None:
    path.chmod(0o700)
    for folder, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o700)


def sweep(folder: Path, label: str) -> None:
    """Remove what a crash left of ``draft`` and ``discard`` with this label."""
    for path in folder.iterdir():
        if path.name.startswith(f".{label}-"):
            remove(path)


def copy(source: Path, target: Path) -> None:
    """Copy a directory into an existing one: files, links and pipes with their modes and times, no sockets."""
    with os.scandir(source) as entries:
        for entry in entries:
            _copy_entry(entry, target / entry.name)
    shutil.copystat(source, target)


def _copy_entry(entry: os.DirEntry[str], target: Path) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(os.readlink(entry.path))
    elif stat.S_ISDIR(mode):
        target.mkdir(0o700)
        copy(Path(entry.path), target)
    elif stat.S_ISREG(mode):
        _copy_file(Path(entry.path), target)
        shutil.copystat(entry.path, target)
    elif stat.S_ISFIFO(mode):
        os.mkfifo(target, stat.S_IMODE(mode))


def _copy_file(source: Path, target: Path) -> None:
    """Share the octets where the file system can (btrfs, XFS), else copy them inside the kernel."""
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), _PIECE):
                pass
        except OSError as error:
            if error.errno in _FULL:
                raise
            shutil.copyfileobj(reader, writer)


def sync(folder: Path) -> None:
    """Put on the disk which names the directory holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
