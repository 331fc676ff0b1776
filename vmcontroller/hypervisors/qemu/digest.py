"""The hash of a large file, by which it is known whether it was cut or changed.

A file is hashed in pieces, several at a time, and may still be written meanwhile: its hash is SHA-256 over those of its
pieces, in their order. Blocks; knows nothing of what the file holds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event

#: Octets of a piece, and how many are hashed at a time.
PIECE = 1 << 20
WORKERS = 2
#: Seconds between two looks at a file that grows.
_GLANCE = 0.001


def of_file(path: Path) -> tuple[str, int]:
    """The hash of a file in hex, and how many octets it has. OSError."""
    whole = Event()
    whole.set()
    file = os.open(path, os.O_RDONLY)
    try:
        return of_growing(file, whole)
    finally:
        os.close(file)


def of_growing(file: int, whole: Event) -> tuple[str, int]:
    """Likewise, of an open file that is written from its beginning to its end until ``whole`` is set. OSError."""
    numbers = count()  # Each of the workers takes the next one.
    found: dict[int, bytes] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for worker in [pool.submit(_work, file, whole, numbers) for _ in range(WORKERS)]:
            found |= worker.result()
    together = hashlib.sha256(b"".join(found[number] for number in sorted(found)))
    return together.hexdigest(), os.fstat(file).st_size


def _work(file: int, whole: Event, numbers: Iterator[int]) -> dict[int, bytes]:
    """Hash pieces until the file has no more."""
    found, room = {}, memoryview(bytearray(PIECE))
    for number in numbers:
        octets = _await_piece(file, whole, number)
        if octets <= 0:
            break
        found[number] = hashlib.sha256(_filled(file, room[:octets], number * PIECE)).digest()
    return found


def _await_piece(file: int, whole: Event, number: int) -> int:
    """How many octets a piece has; 0 or less where there is none."""
    while True:
        ended, octets = whole.is_set(), os.fstat(file).st_size - number * PIECE
        if ended or octets >= PIECE:
            return min(octets, PIECE)
        whole.wait(_GLANCE)


def _filled(file: int, room: memoryview, begin: int) -> memoryview:
    """The room filled with what the file holds from an octet on; less if it was cut just now."""
    filled = 0
    while octets := os.preadv(file, [room[filled:]], begin + filled):
        filled += octets
    return room[:filled]
