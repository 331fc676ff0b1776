"""The hash of a memory file that is still being written."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest

from vmcontroller.hypervisors.qemu import generations

PIECE = 4096


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE, 10 * PIECE + 7])
def test_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """It is the one that the whole file has, whatever is written at a time; its length is told, too."""
    monkeypatch.setattr(generations, "PIECE", PIECE)
    data, written = os.urandom(size), Event()
    with (tmp_path / "memory").open("w+b", buffering=0) as file, ThreadPoolExecutor() as pool:
        found = pool.submit(generations.hash_growing, file.fileno(), written)
        for begin in range(0, size, 1000):
            file.write(data[begin : begin + 1000])
        written.set()
        assert found.result() == (sha256(data).hexdigest(), size)
