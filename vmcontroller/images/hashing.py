"""SHA-256 of large files, computed once: a file is the same while device, inode, size and time of change are."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from vmcontroller.errors import BadImage
from vmcontroller.images.work import Work

_PIECE = 4 * 1024 * 1024


class Hashes:
    """What is known of files, one small file each in a directory: nothing is lost that could not be computed again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def known(self, path: Path) -> str:
        """The hash that was noted of the file as it is now, or ""."""
        try:
            return self._note(path.stat()).read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""

    def note(self, path: Path, sha256: str) -> None:
        """Remember it. OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(self._note(path.stat()), sha256)

    def _note(self, seen: os.stat_result) -> Path:
        return self._directory / f"{seen.st_dev}-{seen.st_ino}-{seen.st_size}-{seen.st_mtime_ns}"


def sha256_of(path: Path, work: Work) -> str:
    """Hex digits. BadImage if the file changes meanwhile; Aborted."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        work.begin(before.st_size)
        while piece := file.read(_PIECE):
            digest.update(piece)
            done += len(piece)
            work.moved(done)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or done != after.st_size:
        raise BadImage(f"the image {path} is being written; wait until it is whole")
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Put a text into a file: whole and on the disk, or not at all. OSError."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
