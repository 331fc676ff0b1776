"""What befalls files: cut, changed, lost, or no room for them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def full_after(octets: int) -> Callable[[int, Path], tuple[str, int]]:
    """In generations.receive's place: a disk that has so much room left."""

    def receive(pipe: int, target: Path) -> tuple[str, int]:
        with open(pipe, "rb", buffering=0) as source:
            left = octets
            while left and (data := source.read(left)):
                left -= len(data)
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    return receive


def cut(path: Path) -> None:
    """The last octet is missing."""
    os.truncate(path, path.stat().st_size - 1)


def change(path: Path) -> None:
    """Two octets in the middle are others."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"!?")


def remove(path: Path) -> None:
    """It is gone."""
    path.unlink()
