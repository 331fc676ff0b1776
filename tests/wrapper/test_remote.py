"""Calls from a thread of their own, and errands made of many calls."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from vmcontroller import errors
from wrapper.errand import LAST_PATIENCE, Errand, Steps
from wrapper.remote import Code, Refused, Remote
from wrapper.task import Ending


@pytest.mark.parametrize("code", Code)
def test_the_codes_are_those_of_the_daemon(code: Code) -> None:
    """The wrapper may not import the daemon's errors; its names for them are theirs."""
    name = code.name.title().replace("_", "").replace("Vm", "VM")
    assert getattr(errors, name).code == code


def test_a_call_without_a_daemon_is_refused() -> None:
    """And the bell rings for it as for any other answer."""
    rung = threading.Event()
    future = Remote(rung.set).call("listVMs")
    with pytest.raises(Refused) as caught:
        future.result(5)
    assert caught.value.code == Code.NOT_RUNNING
    assert rung.wait(5)


def test_work_is_done_in_order_and_bugs_stay_bugs() -> None:
    """An error without a code is none of the daemon's."""
    remote = Remote(lambda: None)
    done: list[int] = []
    futures = [remote.do(lambda number=number: done.append(number)) for number in range(5)]
    bug = remote.do(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        bug.result(5)
    assert done == [0, 1, 2, 3, 4]
    assert all(future.done() for future in futures)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_errand_waits_for_answers_and_for_time() -> None:
    """What a call returns or raises arrives where it was made; nothing happens before its time."""
    clock = Clock()
    first: Future[int] = Future()
    second: Future[int] = Future()

    def steps() -> Steps[Ending]:
        value = yield first
        yield 5.0
        try:
            yield second
        except Refused as refusal:
            return Ending(refusal.code, f"{value} {refusal}")
        raise AssertionError

    errand = Errand(steps(), clock)
    errand.step()
    assert errand.is_calling
    first.set_result(7)
    second.set_exception(Refused(203, "silent"))
    errand.step()
    assert errand.ending is None
    clock.now = 5.0
    errand.step()
    assert errand.ending == Ending(203, "7 silent")


def test_a_hurried_errand_ends_unanswered() -> None:
    """After a last patience; what was asked may still be done."""
    clock = Clock()
    never: Future[None] = Future()

    def steps() -> Steps[Ending]:
        yield never
        raise AssertionError

    errand = Errand(steps(), clock)
    errand.step()
    errand.hurry()
    errand.step()
    assert errand.ending is None
    clock.now = LAST_PATIENCE
    errand.step()
    assert errand.ending is not None
    assert not errand.ending.good
