"""A slot and a scripted daemon: what tests of VM tasks begin with. Tests of host tasks have a slot of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot
from tests.wrapper.jobs import another
from tests.wrapper.scripted_daemon import ScriptedDaemon, serving


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    """With a program called worker, which the scripted daemon never runs."""
    made = Slot(tmp_path / "slots" / "0")
    made.program("worker", "")
    return made


@pytest.fixture
def daemon() -> ScriptedDaemon:
    """What it does is each test's to say."""
    return ScriptedDaemon()


@pytest.fixture
def rig(slot: Slot, daemon: ScriptedDaemon, tmp_path: Path) -> Iterator[Rig]:
    """A wrapper for the slot, which finds the daemon."""
    with serving(daemon, tmp_path / "state"):
        yield another(slot, tmp_path)
