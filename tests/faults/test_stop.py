"""A daemon that is stopped in the middle of its work leaves nothing half done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.loopback.house import DEADLINE, house, wait_for
from vmcontroller import client

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")


def test_in_the_middle_of_a_transfer(tmp_path: Path) -> None:
    """Half a file that was on its way out of a VM is gone before the daemon is; what it was to replace is whole."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "big").write_text("old")
    with house(tmp_path / "state") as home:
        home.shell(home.vm("alpha"), "truncate -s 16G big")
        transfer = home.call("startTransfer", "get", "alpha", "big", str(there / "big"))
        wait_for(lambda: home.call("getTransfer", transfer)["done"] > 0, "nothing was moved")
        home.call("stopDaemon", False)
        assert client.await_stopped(home.state, home.address, DEADLINE)
        assert [path.name for path in there.iterdir()] == ["big"]
        assert (there / "big").read_text() == "old"
        home.restart()
