"""What befalls files: cut, changed, lost, or no room for them."""

from __future__ import annotations

import os
from pathlib import Path


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


def full(path: Path) -> int:
    """In place of a new file, one on a disk that is full."""
    path.touch()
    return os.open("/dev/full", os.O_RDWR)
