"""A file of 1 GiB goes into a VM and back through the daemon: whole, and past the daemon's memory."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

import psutil
import pytest

from tests.loopback.house import DEADLINE, House, house

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")
SIZE = 1 << 30
NAME = "big 'file' - \"größer\".bin"


def transfer(home: House, direction: str, source: str, destination: str) -> None:
    """Copy, and wait for the end."""
    its_id = home.call("startTransfer", direction, "alpha", source, destination)
    told = home.call("waitForTransfer", its_id, DEADLINE)
    assert (told["state"], told["done"], told["total"]) == ("done", SIZE, SIZE), told["error"]


def test_a_gibibyte_there_and_back(tmp_path: Path) -> None:
    """Octets at the beginning, in the middle and at the end are where they were, and so is the mode."""
    if shutil.disk_usage(tmp_path).free < 4 * SIZE:
        pytest.skip("needs 4 GiB of disk")
    source, back = tmp_path / NAME, tmp_path / "back"
    with source.open("wb") as file:
        file.truncate(SIZE)
        for place in (0, SIZE // 2 - 3, SIZE - 8):
            file.seek(place)
            file.write(os.urandom(8))
    source.chmod(0o750)
    with house(tmp_path / "state") as home:
        home.vm("alpha")
        daemon = psutil.Process(home.address.pid)
        before = daemon.memory_info().rss
        transfer(home, "put", str(source), NAME)
        assert home.call("listFiles", "alpha")[0]["size"] == SIZE
        transfer(home, "get", NAME, str(back))
        assert daemon.memory_info().rss - before < 50_000_000
    assert filecmp.cmp(source, back, shallow=False)
    assert back.stat().st_mode & 0o777 == 0o750
    back.unlink()
    source.unlink()
