"""Octets of one stream that the host has not confirmed, on disk.

The stream is cut into segments of 1 MiB, one file each. A segment is freed when all of it is confirmed and a
later one has begun, so the files alone tell where the stream ends. What was appended survives the agent's death;
what was synced, and every full segment, survives the machine's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

SEGMENT = 1024 * 1024


class Spool:
    """A new stream. ``name`` is unique in ``directory``; no file is made before the first octet comes."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._first = 0
        self._tail: int | None = None
        self.end = 0

    @classmethod
    def found(cls, directory: Path, name: str) -> Self:
        """The stream that an earlier agent left under this name."""
        spool = cls(directory, name)
        stems = (file.rpartition(".") for file in os.listdir(directory))
        numbers = [int(number) for stem, _, number in stems if stem == name and number.isdecimal()]
        if numbers:
            spool._first = min(numbers)
            spool.end = max(numbers) * SEGMENT + spool._path(max(numbers)).stat().st_size
        return spool

    @property
    def start(self) -> int:
        """The first octet that can still be read."""
        return self._first * SEGMENT

    def append(self, data: bytes | bytearray) -> None:
        """Add octets at ``end``. OSError when the disk is full: ``end`` tells how many were taken."""
        view = memoryview(data)
        while view:
            room = SEGMENT - self.end % SEGMENT
            written = os.write(self._tail_file(), view[:room])
            view = view[written:]
            self.end += written
            if written == room:
                self.sync()

    def read(self, offset: int, count: int) -> bytes:
        """Octets from ``offset`` on: at most ``count``, and what one segment has of them. OSError."""
        number, inside = divmod(offset, SEGMENT)
        with open(self._path(number), "rb", buffering=0) as file:
            file.seek(inside)
            data = file.read(min(count, SEGMENT - inside, self.end - offset))
        if not data:
            raise OSError(f"{self._path(number)} is shorter than what was written to it")
        return data

    def free(self, offset: int) -> None:
        """Nothing below ``offset`` will be read again."""
        while (self._first + 1) * SEGMENT <= offset and (self._first + 1) * SEGMENT < self.end:
            self._path(self._first).unlink(missing_ok=True)
            self._first += 1

    def sync(self) -> None:
        """Return when every octet is on the disk."""
        if self._tail is not None:
            os.fsync(self._tail)
            self.close()

    def close(self) -> None:
        """Let go of the file; the octets stay."""
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None

    def clear(self) -> None:
        """Remove every octet."""
        self.close()
        if self.end:
            for number in range(self._first, self.end // SEGMENT + 1):
                self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{self._name}.{number}"

    def _tail_file(self) -> int:
        if self._tail is None:
            self._tail = os.open(self._path(self.end // SEGMENT), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._tail
