"""``create`` on a terminal: how far the image of a VM is."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon
from vmcontroller import cli


class Terminal(io.StringIO):
    """Takes what is drawn."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the VM ``new`` with these words more; what was drawn."""
    monkeypatch.setenv("VMCONTROLLER_STATE_DIR", str(tmp_path))

    def run(*argv: str) -> str:
        err = Terminal()
        cli.main(("create", "new", *argv), io.TextIOWrapper(io.BytesIO(), "utf-8"), err)
        return err.getvalue()

    return run


def test_drawn_until_the_vm_is_there(api: FakeApi, daemon: FakeDaemon, create: Any) -> None:
    """Name, share and size in one line, while the one call that makes the VM waits."""
    seen = threading.Event()

    def how_far(name: str) -> dict[str, int]:
        assert name == "new"
        if len(daemon.asked("getCreation")) == 2:
            seen.set()
        return {"done": 500_000, "total": 1_000_000}

    def make(*arguments: Any) -> list[Any]:
        assert seen.wait(10)
        return api.createVM(*arguments)

    daemon.methods |= {"getCreation": how_far, "createVM": make}
    drawn = create()
    assert drawn.count("\n") == 1
    assert "the image of new" in drawn
    assert "50%  500.0 kB of 1.0 MB" in drawn


@pytest.mark.usefixtures("daemon")
def test_nothing_to_draw(create: Any) -> None:
    """An image that is known already, and a caller who reads JSON."""
    assert create() == create("--json") == ""
