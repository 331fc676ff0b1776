"""The slot directory: soft links in place of files, and the lock that keeps a second wrapper out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO
from xml.sax.saxutils import unescape

LOCK_FILE = "boinc_lockfile"
_SOFT_LINK = re.compile(r"<soft_link>(.*?)</soft_link>")
_LONGEST_LINK = 512


def resolve(slot: Path, name: str) -> str:
    """The path behind a logical name, relative to the slot as the client wrote it; the name itself where it is no link.

    A soft link is a file whose first line holds ``<soft_link>PATH</soft_link>``. It need not lead to a file that
    exists: outputs are links before they are written.
    """
    path = slot / name
    if path.is_symlink():
        return name
    found = _SOFT_LINK.search(_first_line(path))
    return unescape(found[1].strip()) if found else name


def _first_line(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.readline(_LONGEST_LINK))
    except OSError:
        return ""


class SlotLock:
    """``boinc_lockfile``: held by one wrapper at a time, let go by the system when it dies."""

    def __init__(self, slot: Path) -> None:
        self._path = slot / LOCK_FILE
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Whether the slot is ours now. OSError when the slot cannot be written."""
        file = open(self._path, "ab")  # noqa: SIM115 - held as long as the slot is ours
        if _lock(file) and _is_still_there(file, self._path):
            self._file = file
            return True
        file.close()
        return False

    def release(self) -> None:
        """Let go and take the file away, as boinc_finish does."""
        if self._file is None:
            return
        if os.name == "posix":
            self._path.unlink(missing_ok=True)
        self._file.close()
        if os.name != "posix":
            # Windows removes no open file.
            self._path.unlink(missing_ok=True)
        self._file = None


def _lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "posix":
            import fcntl  # noqa: PLC0415 - absent on Windows

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def _is_still_there(file: IO[bytes], path: Path) -> bool:
    """Who held the lock before may have taken the file away between our open and our lock."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
