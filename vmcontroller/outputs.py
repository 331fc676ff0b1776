"""What commands print and read, as files: ``DIRECTORY/CMD-ID/VM.out``, ``VM.err`` and ``stdin``.

Octets are appended as they arrive and confirmed when they are on the disk. Waiting for the disk happens in
a thread, one wait per file at a time, so that a slow disk delays confirmations and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from vmcontroller import disk
from vmcontroller.errors import DiskFull

#: Runs a function in a thread: ``in_thread(function, *arguments) -> Deferred``.
InThread = Callable[..., Deferred[Any]]
_MAX_OPEN = 128
STDIN = "stdin"


class Outputs:
    """The files. ``min_free`` octets of the disk are left alone: DiskFull is raised before they are used."""

    def __init__(self, directory: Path, in_thread: InThread, min_free: int = 0) -> None:
        self._directory = directory
        self._in_thread = in_thread
        self._min_free = min_free
        self._open: OrderedDict[str, int] = OrderedDict()
        self._short: set[tuple[str, str]] = set()

    def _path(self, cmd_id: str, vm: str, stream: str) -> str:
        return os.path.join(self._directory, cmd_id, STDIN if stream == STDIN else f"{vm}.{stream}")

    def _file(self, path: str) -> int:
        if path not in self._open:
            os.makedirs(os.path.dirname(path), exist_ok=True, mode=0o700)
            self._open[path] = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            if len(self._open) > _MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(path)
        return self._open[path]

    def length(self, cmd_id: str, vm: str, stream: str) -> int:
        """How many octets of a stream are stored."""
        path = self._path(cmd_id, vm, stream)
        if path in self._open:
            return os.fstat(self._open[path]).st_size
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return 0

    def append(self, cmd_id: str, vm: str, stream: str, offset: int, data: bytes) -> int:
        """Store what is new of ``data``, which begins at ``offset``; the stream's length then.

        What is stored already is skipped; what would leave a gap is not stored. DiskFull.
        """
        have = self.length(cmd_id, vm, stream)
        fresh = data[have - offset :] if offset <= have else b""
        if not fresh:
            return have
        try:
            self._check_room(len(fresh))
            self._write(self._path(cmd_id, vm, stream), have, fresh)
        except OSError as error:
            if disk.is_full(error):
                self._short.add((cmd_id, vm))
                raise DiskFull(f"no room for the output of {cmd_id}; free some space, it goes on by itself") from None
            raise
        self._short.discard((cmd_id, vm))
        return have + len(fresh)

    def _write(self, path: str, offset: int, data: bytes) -> None:
        file = self._file(path)
        os.lseek(file, offset, os.SEEK_SET)
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])

    def _check_room(self, octets: int) -> None:
        if not self._has_room(octets):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _has_room(self, octets: int) -> bool:
        return not self._min_free or shutil.disk_usage(self._existing()).free >= self._min_free + octets

    def demand_room(self) -> None:
        """DiskFull where nothing that a command prints could be stored."""
        if not self._has_room(0):
            raise DiskFull(
                f"no room for the output: below {self._min_free} octets (min_free_disk) are free at {self._directory};"
                " free some space"
            )

    def lacks_room(self, cmd_id: str, vm: str) -> bool:
        """What the command printed last could not be stored; it is in the guest, which says it again."""
        return (cmd_id, vm) in self._short

    def _existing(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._directory

    def sync(self, cmd_id: str, vm: str, stream: str) -> Deferred[int]:
        """Fires with the number of octets that are on the disk for certain."""
        path = self._path(cmd_id, vm, stream)
        length = self.length(cmd_id, vm, stream)
        return self._in_thread(_sync, path).addCallback(lambda _: length)

    def read(self, cmd_id: str, vm: str, stream: str, offset: int, length: int) -> bytes:
        """At most ``length`` octets from ``offset`` on; fewer, or none, where the stream is not that long."""
        try:
            with open(self._path(cmd_id, vm, stream), "rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            return b""

    def cut(self, cmd_id: str, vm: str, stream: str, length: int) -> None:
        """Drop what lies beyond ``length``."""
        if self.length(cmd_id, vm, stream) > length:
            os.ftruncate(self._file(self._path(cmd_id, vm, stream)), length)

    def sha256(self, cmd_id: str, vm: str, stream: str) -> Deferred[str]:
        """The SHA-256 of what is stored, in hex."""
        return self._in_thread(_sha256, self._path(cmd_id, vm, stream))

    def close_part(self, cmd_id: str, vm: str) -> None:
        """No more is written for this part."""
        self._short.discard((cmd_id, vm))
        for stream in ("out", "err"):
            file = self._open.pop(self._path(cmd_id, vm, stream), None)
            if file is not None:
                os.close(file)

    def remove(self, cmd_id: str) -> None:
        """Delete all that a command printed and read."""
        self._short = {(other, vm) for other, vm in self._short if other != cmd_id}
        directory = os.path.join(self._directory, cmd_id)
        for path in [path for path in self._open if os.path.dirname(path) == directory]:
            os.close(self._open.pop(path))
        shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])


def _sync(path: str) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        getattr(os, "fdatasync", os.fsync)(file)
    finally:
        os.close(file)


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return hashlib.sha256().hexdigest()
