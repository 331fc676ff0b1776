"""A large file passes through both sides without being held in memory."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest

from tests.fileservers import client, guest_process
from vmcontroller.chirp import copies
from vmcontroller.chirp.meter import Meter

SIZE = 200_000_000
ALLOWED = 10_000_000


def peak(pid: int) -> int:
    """The most octets that a process has held so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("ours", [True, False])
def test_a_large_file_is_not_held_in_memory(tmp_path: Path, ours: bool) -> None:
    """There and back, with our verbs and with plain ones."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, which Linux has")
    (tmp_path / "root").mkdir()
    with (tmp_path / "f").open("wb") as file:
        file.truncate(SIZE)
    with guest_process(tmp_path / "root", tmp_path) as (process, port), client(port) as guest:
        guest.ours = ours
        before = peak(process.pid)
        tracemalloc.start()
        copies.put(guest, tmp_path / "f", "f", Meter())
        copies.get(guest, "f", tmp_path / "g", Meter())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < ALLOWED
        assert peak(process.pid) - before < ALLOWED
    assert (tmp_path / "g").stat().st_size == SIZE
