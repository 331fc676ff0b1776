"""A computer that slept, or whose clock was set, is noticed; one that is merely busy is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from vmcontroller.wakening import INTERVAL, Wakening


class Computer:
    """Its two clocks, and how often it was noticed that they went apart."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.set_by = 0.0
        self.noticed = 0
        self.wakening = Wakening(self.clock, lambda: 1e9 + self.clock.seconds() + self.set_by, self._woken)
        self.wakening.start()

    def _woken(self) -> None:
        self.noticed += 1

    def live(self, *pieces: float) -> int:
        """Time passes in pieces; how often something was noticed since the start."""
        for seconds in pieces:
            self.clock.advance(seconds)
        return self.noticed


@pytest.fixture
def computer() -> Iterator[Computer]:
    computer = Computer()
    yield computer
    computer.wakening.stop()
    assert computer.clock.getDelayedCalls() == []


def test_nothing_happens(computer: Computer) -> None:
    """Also when looks come late, and when the clock is mended a little at a time."""
    for late in (0.0, 0.5, 1.5, 0.0):
        computer.set_by += 0.1
        computer.live(INTERVAL + late)
    assert computer.noticed == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 2.0])
def test_clock_jumps(computer: Computer, jump: float) -> None:
    """Sleep, where it does not count as time, or somebody who sets the clock, be it back: once."""
    computer.live(INTERVAL)
    computer.set_by += jump
    assert computer.live(INTERVAL, INTERVAL, INTERVAL) == 1


def test_nobody_looked(computer: Computer) -> None:
    """Sleep, where it counts as time."""
    assert computer.live(INTERVAL, 100.0, INTERVAL, INTERVAL) == 1


def test_stop_twice(computer: Computer) -> None:
    """It can be stopped whenever."""
    computer.wakening.stop()
    computer.set_by += 3600.0
    assert computer.live(INTERVAL, INTERVAL) == 0
