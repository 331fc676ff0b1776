"""Where a command's output goes: to a descriptor as it is, to one with a label on each line, or into memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol

#: A line that has grown this long without its end is shown in pieces.
LONGEST_LINE = 64 * 1024


class Sink(Protocol):
    """Takes one stream of one command."""

    def write(self, data: bytes) -> None:
        """Take what came."""

    def end(self) -> None:
        """Nothing more comes."""


class Descriptor:
    """An open file, octet for octet. Nothing is buffered here, and what one call writes stays together."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write all of it; OSError."""
        with self._lock:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._number, rest) :]

    def end(self) -> None:
        """The file belongs to the caller and stays open."""


class Labelled:
    """Puts a label before each line, so that several commands can share one descriptor."""

    def __init__(self, label: str, write: Callable[[bytes], None]) -> None:
        self._label = label.encode("utf-8", "surrogateescape") + b": "
        self._write = write
        self._begun = b""

    def write(self, data: bytes) -> None:
        """Write the whole lines; keep the one that has only begun."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LONGEST_LINE:
            lines, self._begun = [*lines, self._begun], b""
        if lines:
            self._write(b"".join(self._label + line + b"\n" for line in lines))

    def end(self) -> None:
        """Write the last line, which may lack its end."""
        if self._begun:
            self._write(self._label + self._begun + b"\n")


class Kept:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self._parts.append(data)

    def end(self) -> None:
        """Nothing is to be done."""

    @property
    def whole(self) -> bytes:
        """All that came."""
        return b"".join(self._parts)
