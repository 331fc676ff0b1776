"""The outputs of a program in a VM, written on the host as they come.

The local file itself tells how much of a stream is here, so a restarted wrapper goes on at the right octet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

Sink = Callable[[bytes], None]


class Output:
    """One stream. ``base`` is the size of what was there before the command's first octet."""

    def __init__(self, path: Path, base: int) -> None:
        self._path = path
        self.base = base

    @property
    def size(self) -> int:
        """Octets that are here, ``base`` among them."""
        return self._path.stat().st_size if self._path.exists() else 0

    @property
    def offset(self) -> int:
        """Where the command's stream goes on."""
        return max(self.size - self.base, 0)

    def write(self, data: bytes) -> None:
        """Take what follows on. OSError."""
        with open(self._path, "ab") as file:
            file.write(data)

    def cut(self, size: int) -> None:
        """Take back all but the first ``size`` octets. OSError."""
        if self.size > size:
            with open(self._path, "ab") as file:
                file.truncate(size)


class Counted(Output):
    """A stream that shares its file, or goes where nothing can be taken back: its octets are counted."""

    def __init__(self, sink: Sink, base: int, size: int) -> None:
        super().__init__(Path(os.devnull), base)
        self._sink = sink
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        self._sink(data)
        self._size += len(data)

    def cut(self, size: int) -> None:
        self._size = size


def into(path: Path) -> Sink:
    """A sink that appends to a file."""
    return Output(path, 0).write


def to_own(name: str) -> Sink:
    """A sink that writes to the wrapper's own stdout or stderr, as what no element of the job sends elsewhere."""

    def write(data: bytes) -> None:
        try:
            stream = getattr(sys, name).buffer
            stream.write(data)
            stream.flush()
        except OSError:
            pass

    return write
