"""The hash of a large file: the same however it is reached, another one whatever is changed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from vmcontroller.hypervisors.qemu import digest

PIECE = 4096


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "PIECE", PIECE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE, 10 * PIECE + 7])
def test_growing(path: Path, size: int) -> None:
    """A file that is hashed while it is written has the hash that it has afterwards, and its length."""
    data, written = os.urandom(size), Event()
    with path.open("w+b", buffering=0) as file, ThreadPoolExecutor() as pool:
        found = pool.submit(digest.of_growing, file.fileno(), written)
        for begin in range(0, size, 1000):
            file.write(data[begin : begin + 1000])
        written.set()
        assert found.result() == digest.of_file(path)
    assert digest.of_file(path)[1] == size


def test_other_content(path: Path) -> None:
    """An octet that was changed, one that is missing, one too many, and pieces that changed places are noticed."""
    data = os.urandom(5 * PIECE)
    swapped = data[PIECE : 2 * PIECE] + data[:PIECE] + data[2 * PIECE :]
    found = set()
    for content in (data, data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"\0", swapped):
        path.write_bytes(content)
        found.add(digest.of_file(path))
    assert len(found) == 5
    assert len({told for told, _ in found}) == 5


def test_missing(path: Path) -> None:
    """A file that is not there is an error of the system's."""
    with pytest.raises(FileNotFoundError):
        digest.of_file(path)
