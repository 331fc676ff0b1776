"""When it is said what is waited for, and when the wait is over."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vmcontroller.cli.patience import END_SECONDS, SIGNAL_SECONDS, SILENCE_SECONDS, WATCH_SECONDS, Patience
from vmcontroller.client import Client


class Asked:
    """The two methods that it asks, and the clock."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Any]] = {}
        self.vms: dict[str, str] = {}
        self.now = 100.0
        self.said: list[str] = []

    def call(self, method: str, *_: str) -> Any:
        return {"parts": self.parts} if method == "getCmdDetails" else self.vms

    def put(self, vm: str, state: str, machine: str = "Running", alive: bool = True, reason: str = "") -> None:
        outcome = "" if state in ("sent", "accepted") else state
        self.parts[vm] = {"state": state, "outcome": outcome, "alive": alive, "reason": reason}
        self.vms[vm] = machine

    def patience(self, timeout: float = 0.0) -> Patience:
        return Patience(cast(Client, self), "c", self.said.append, timeout, lambda: self.now)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_who_has_not_answered_is_told_once(asked: Asked) -> None:
    """After a while, each with what keeps it; who has taken the command is not named."""
    for vm, state, machine, alive in (
        ("w1", "accepted", "Running", True),
        ("w2", "sent", "Paused", True),
        ("w3", "sent", "Running", False),
        ("w4", "sent", "Running", True),
        ("w5", "sent", "Running", True),
    ):
        asked.put(vm, state, machine, alive)
    del asked.vms["w5"]
    patience = asked.patience()
    patience.look()
    assert asked.said == []
    asked.now += SILENCE_SECONDS
    patience.look()
    patience.look()
    assert asked.said == ["has not answered yet: w2 (Paused), w3 (its agent is silent), w4, w5 (removed)"]


def test_a_vm_that_breaks_down_is_told_at_each_change(asked: Asked) -> None:
    """Once each, with what the operator can do about it; who goes on is not named."""
    patience = asked.patience()
    asked.now += SILENCE_SECONDS
    for vm, machine, alive, reason in (
        ("w1", "Aborted", True, ""),
        ("w2", "Paused", True, ""),
        ("w3", "Running", False, ""),
        ("w4", "Running", True, "no room"),
        ("w5", "Running", True, ""),
    ):
        asked.put(vm, "accepted", machine, alive, reason)
    patience.look()
    assert asked.said == [
        "w1 is Aborted; vmcontroller start w1 goes on",
        "w2 is Paused; vmcontroller resume w2 goes on",
        "w3: its agent is silent",
        "w4: no room",
    ]
    asked.now += WATCH_SECONDS
    patience.look()
    asked.put("w1", "lost", "Running")
    asked.put("w2", "accepted", "Saving")
    asked.put("w3", "accepted")
    patience.look()
    assert len(asked.said) == 4
    asked.now += WATCH_SECONDS
    patience.look()
    assert asked.said[4:] == ["w2: Saving", "w3: it goes on"]


def test_who_was_told_to_be_missing_is_not_told_again(asked: Asked) -> None:
    """Before it changes."""
    asked.put("w1", "sent", "Paused")
    patience = asked.patience()
    for _ in range(3):
        asked.now += SILENCE_SECONDS
        patience.look()
    asked.put("w1", "accepted", "Aborted")
    asked.now += SILENCE_SECONDS
    patience.look()
    assert asked.said == ["has not answered yet: w1 (Paused)", "w1 is Aborted; vmcontroller start w1 goes on"]


def test_a_signal_that_nobody_can_hear_leaves(asked: Asked) -> None:
    """As long as one VM can hear it, it is waited for that one."""
    asked.put("w1", "accepted", "Aborted")
    asked.put("w2", "accepted", "Running", alive=False)
    asked.put("w3", "accepted")
    patience = asked.patience()
    patience.signalled(2)
    assert asked.said == []
    asked.put("w3", "exited")
    with pytest.raises(KeyboardInterrupt):
        patience.signalled(15)
    assert asked.said == ["SIGTERM is kept until it can be heard by w1 (Aborted), w2 (its agent is silent)"]


def test_all_have_answered(asked: Asked) -> None:
    """Then there is nothing to say."""
    asked.put("w1", "accepted")
    patience = asked.patience()
    asked.now += SILENCE_SECONDS
    patience.look()
    assert asked.said == []


def test_a_signal_that_takes_effect_needs_no_word(asked: Asked) -> None:
    """The end says it."""
    asked.put("w1", "accepted")
    patience = asked.patience()
    patience.signalled(2)
    patience.look()
    asked.put("w1", "signalled")
    asked.now += SIGNAL_SECONDS
    patience.look()
    assert asked.said == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_time_that_is_up_for_a_vm_that_has_not_begun(asked: Asked, alive: bool) -> None:
    """Nobody will end it: the wait is over at once."""
    asked.put("w1", "sent", alive=alive)
    patience = asked.patience(timeout=3.0)
    asked.now += 2.9
    assert not patience.is_over()
    asked.now += 0.1
    assert patience.is_over()


def test_a_time_that_is_up_for_a_vm_that_runs_it(asked: Asked) -> None:
    """Its agent ends the command and tells; it is given the time to do so, and no more."""
    asked.put("w1", "accepted")
    patience = asked.patience(timeout=3.0)
    asked.now += 3.0 + END_SECONDS / 2
    assert not patience.is_over()
    asked.now += END_SECONDS / 2
    assert patience.is_over()
    asked.put("w1", "accepted", alive=False)
    assert patience.is_over()


def test_what_has_ended_is_shown_to_the_end(asked: Asked) -> None:
    """Its output may take longer than the command was given."""
    asked.put("w1", "exited")
    patience = asked.patience(timeout=3.0)
    asked.now += 1000.0
    assert not patience.is_over()


def test_no_timeout_is_no_end(asked: Asked) -> None:
    """It is waited for as long as it takes."""
    asked.put("w1", "sent")
    patience = asked.patience()
    asked.now += 1e9
    assert not patience.is_over()
