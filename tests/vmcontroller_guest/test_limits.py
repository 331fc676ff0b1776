"""Limits on time and output, and the clock of the machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from vmcontroller_guest import wallclock
from vmcontroller_guest.limits import OutputLimit, TimeLimit
from vmcontroller_guest.vitals import read_vitals


def test_time_runs_out() -> None:
    """After as many seconds as were given, whole or not."""
    for seconds in (0.3, 1.0, 2.5):
        clock, expired = Clock(), []
        TimeLimit(clock, seconds, lambda expired=expired: expired.append(1))  # type: ignore[misc]
        clock.pump([0.1] * round(10 * seconds - 1))
        assert not expired
        clock.pump([0.1, 0.1])
        assert expired
        assert clock.getDelayedCalls() == []


def test_no_limit_has_no_timer() -> None:
    clock = Clock()
    TimeLimit(clock, 0, lambda: None).stop()
    assert clock.getDelayedCalls() == []


def test_time_in_which_everything_stood_still_is_not_counted() -> None:
    """An hour's jump counts for two seconds at most."""
    clock, expired = Clock(), []
    limit = TimeLimit(clock, 10, lambda: expired.append(1))
    clock.advance(3600)
    clock.pump([1] * 7)
    assert not expired
    clock.advance(1)
    assert expired
    limit.stop()


def test_output_passes_up_to_the_limit() -> None:
    limit = OutputLimit(5)
    assert [limit.admit(data) for data in (b"abc", b"def", b"g")] == [b"abc", b"de", b""]
    assert OutputLimit(0).admit(b"x" * 1000) == b"x" * 1000


def test_the_clock_is_set_when_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second's error is a word's way; where the clock may not be set it stays."""
    told: list[float] = []
    monkeypatch.setattr(time, "clock_settime", lambda which, seconds: told.append(seconds))
    wallclock.set_clock(time.time() + 0.3)
    assert told == []
    wallclock.set_clock(12345.0)
    assert told == [12345.0]

    def denied(which: int, seconds: float) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(time, "clock_settime", denied)
    wallclock.set_clock(12345.0)


def test_vitals(tmp_path: Path) -> None:
    """A disk that is not there has none, and the rest is told all the same."""
    vitals = read_vitals(tmp_path)
    assert len(vitals.load) == 3
    assert 0 < vitals.memory["available"] <= vitals.memory["total"]
    assert 0 < vitals.disk["free"] <= vitals.disk["total"]
    assert read_vitals(tmp_path / "nothing").disk == {}
