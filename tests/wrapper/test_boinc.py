"""The BOINC runtime without a client: signals in place of wishes, and the files that a job leaves."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from wrapper.bell import Bell, Interrupts
from wrapper.boinc import LOCK_PATIENCE, Standalone, Stop, Wishes, redirect_stderr
from wrapper.slot import SlotLock


class Alone:
    """A Standalone with what it said, and a clock that a test moves by waiting."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.said: list[str] = []
        self.waits = 0
        self.interrupts = Interrupts(Bell())
        self.runtime = Standalone(where, self.interrupts, self.wait, self.said.append)

    def wait(self, seconds: float) -> None:
        self.waits += 1

    def read(self, name: str) -> str:
        return (self.where / name).read_text()


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


@pytest.mark.parametrize(
    ("heard", "wishes"),
    [
        ([], Wishes()),
        ([signal.SIGINT], Wishes(stop=Stop.ABORT)),
        ([signal.SIGTERM], Wishes(stop=Stop.QUIT)),
        ([signal.SIGHUP], Wishes(stop=Stop.QUIT)),
        ([signal.SIGTERM, signal.SIGINT], Wishes(stop=Stop.QUIT, hurry=True)),
        ([signal.SIGINT, signal.SIGTERM], Wishes(stop=Stop.ABORT, hurry=True)),
    ],
)
def test_what_signals_wish(alone: Alone, heard: list[signal.Signals], wishes: Wishes) -> None:
    """Ctrl-C gives the job up, a computer that ends puts it away; the first one decides, the second one hurries."""
    for number in heard:
        alone.interrupts.hear(number)
    assert alone.runtime.poll() == wishes


def test_a_signal_rings_the_bell() -> None:
    """So the loop hears of it at once."""
    bell = Bell()
    Interrupts(bell).hear(signal.SIGTERM)
    bell.wait(60.0)


def test_the_exit_code_tells_the_first_signal(alone: Alone) -> None:
    """As a shell tells it; SIGTERM where there was none."""
    assert alone.runtime.leave() == 128 + signal.SIGTERM
    alone.interrupts.hear(signal.SIGINT)
    alone.interrupts.hear(signal.SIGTERM)
    assert alone.runtime.leave() == 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("message", "notice", "text"),
    [("", False, "195\n"), ("Why.", False, "195\nWhy.\n\n"), ("Why.", True, "195\nWhy.\nnotice\n")],
)
def test_the_finish_file(alone: Alone, message: str, notice: bool, text: str) -> None:
    """Status, and with a message a line for it and one for whether it is a notice; the lock is let go."""
    assert alone.runtime.take_slot()
    assert alone.runtime.finish(195, message, notice) == 195
    assert os.listdir(alone.where) == ["boinc_finish_called"]
    assert alone.read("boinc_finish_called") == text
    assert alone.said == ["called boinc_finish(195)"]


def test_the_exit_code_has_eight_bits(alone: Alone) -> None:
    """As every process's; the file has the whole status."""
    assert alone.runtime.finish(-108) == 148
    assert alone.read("boinc_finish_called") == "-108\n"


@pytest.mark.parametrize(("notice", "text"), [(False, "60\nBusy.\n"), (True, "60\nBusy.\nnotice\n")])
def test_a_temporary_exit(alone: Alone, notice: bool, text: str) -> None:
    """Delay, reason and whether it is a notice; the next begin takes the file away."""
    assert alone.runtime.temporary_exit(60, "Busy.", notice) == 0
    assert alone.read("boinc_temporary_exit") == text


def test_a_full_disk_keeps_nobody_from_leaving(alone: Alone) -> None:
    """What cannot be written is said, and the exit code is the same."""
    (alone.where / "boinc_finish_called").mkdir()
    assert alone.runtime.finish(0) == 0
    assert "boinc_finish_called could not be written" in alone.said[-1]


def test_a_slot_that_stays_taken(alone: Alone) -> None:
    """It is waited for as long as the client would, and no longer; POSIX locks need another process to hold it."""
    alone.runtime._lock = _Taken()  # type: ignore[assignment]
    assert not alone.runtime.take_slot()
    assert alone.waits == LOCK_PATIENCE
    assert alone.said == ["another wrapper runs in this directory; waiting for its end"]


def test_a_signal_ends_the_wait_for_the_slot(alone: Alone) -> None:
    """At once."""
    alone.runtime._lock = _Taken()  # type: ignore[assignment]
    alone.interrupts.hear(signal.SIGTERM)
    assert not alone.runtime.take_slot()
    assert alone.waits == 1


class _Taken:
    def take(self) -> bool:
        return False


def test_begin_sends_stderr_to_its_file(alone: Alone) -> None:
    """Also what programs say that are started later; what an earlier temporary exit left is taken away."""
    (alone.where / "boinc_temporary_exit").write_text("1\n")
    kept = os.dup(2)
    try:
        alone.runtime.begin()
        os.write(2, b"from a program\n")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert alone.read("stderr.txt") == "from a program\n"
    assert not (alone.where / "boinc_temporary_exit").exists()


def test_stderr_is_appended_to(tmp_path: Path) -> None:
    """A restarted wrapper's story follows on the first one's."""
    (tmp_path / "stderr.txt").write_text("before\n")
    kept = os.dup(2)
    try:
        redirect_stderr(tmp_path / "stderr.txt")
        print("after", file=sys.__stderr__, flush=True)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert (tmp_path / "stderr.txt").read_text() == "before\nafter\n"


def test_a_logical_name_is_resolved_in_the_slot(alone: Alone) -> None:
    """Whatever the current directory is."""
    (alone.where / "in").write_text("<soft_link>../in_1</soft_link>\n")
    assert alone.runtime.resolve("in") == "../in_1"


def test_a_lock_is_released_once(tmp_path: Path) -> None:
    """A second release does no harm, nor does one that was never taken."""
    lock = SlotLock(tmp_path)
    lock.release()
    assert lock.take()
    lock.release()
    lock.release()
    assert os.listdir(tmp_path) == []
