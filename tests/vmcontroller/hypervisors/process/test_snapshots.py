"""Snapshots are whole or not there, and a restore that was decided is completed after any crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcontroller.errors import SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.process import snapshots
from vmcontroller.hypervisors.process.record import Home, Record
from vmcontroller.machine import MachineSpec


class PowerCut(BaseException):
    """No handler of the code under test may catch it."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A machine with one file on each of its two disks."""
    made = Home(tmp_path)
    made.furnish(Record.of("owner", MachineSpec("vm", "VM", "main")), "{}")
    fill(made, "old")
    return made


def fill(home: Home, text: str) -> None:
    for disk in home.disks:
        (disk / "text").write_text(text)


def texts(home: Home) -> set[str]:
    return {(disk / "text").read_text() for disk in home.disks}


def hidden(home: Home) -> list[str]:
    return [path.name for path in home.path.rglob(".*")]


def test_order_does_not_hang_on_the_clock(home: Home) -> None:
    """Snapshots stand in the order in which they were taken, even if the clock went back."""
    for name, now in [("a", 100.0), ("b", 50.0), ("c", 50.0)]:
        snapshots.take(home, name, "", now)
    snapshots.delete(home, "a")
    snapshots.take(home, "a", "", 10.0)
    assert [snapshot.name for snapshot in snapshots.listed(home)] == ["b", "c", "a"]


def test_names_that_look_alike(home: Home) -> None:
    """Names that make the same file name are still two snapshots."""
    for name in ("a b", "a-b", "a/b", "A b"):
        snapshots.take(home, name, name, 0.0)
    with pytest.raises(SnapshotExists, match="'a b'"):
        snapshots.take(home, "a b", "", 0.0)
    assert len(snapshots.listed(home)) == 4


def test_failing_take(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that fails leaves no snapshot and no file."""
    with monkeypatch.context() as patch:
        patch.setattr(files, "copy", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OSError, match="No space"):
            snapshots.take(home, "s", "", 0.0)
    assert list(home.snapshots.iterdir()) == []
    with pytest.raises(UnknownSnapshot):
        snapshots.restore(home, "s")


def test_failing_restore(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that cannot be completed leaves the machine as it was."""
    snapshots.take(home, "s", "", 0.0)
    fill(home, "new")
    with monkeypatch.context() as patch:
        patch.setattr(files, "copy", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OSError, match="No space"):
            snapshots.restore(home, "s")
    assert texts(home) == {"new"}
    assert hidden(home) == []


@pytest.mark.parametrize("step", range(12))
def test_power_cut_in_a_restore(home: Home, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Wherever the power is cut, afterwards both disks are as before or both are as in the snapshot."""
    snapshots.take(home, "s", "", 0.0)
    fill(home, "new")
    left = [step]

    def until_the_cut(work: object) -> object:
        def wrapped(*args: object) -> object:
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            return work(*args)  # type: ignore[operator]

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("copy", "move", "remove", "sync", "write"):
            patch.setattr(files, name, until_the_cut(getattr(files, name)))
        try:
            snapshots.restore(home, "s")
        except PowerCut:
            pass
    snapshots.finish(home)
    assert texts(home) in ({"new"}, {"old"})
    assert hidden(home) == []
    snapshots.restore(home, "s")
    assert texts(home) == {"old"}
