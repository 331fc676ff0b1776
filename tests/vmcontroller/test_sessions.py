"""Sessions: a HELLO counts once its offer is confirmed, and a smaller number tells of a roll-back."""

from __future__ import annotations

from itertools import count

import pytest

from vmcontroller.sessions import MAX_OPEN, Sessions
from vmcontroller.wire.words import CommandReport, Hello


@pytest.fixture
def numbers() -> count[int]:
    return count(10)


def hello(nonce: str, session: int = 0, journal: str = "j", **commands: CommandReport) -> Hello:
    return Hello(nonce, "vm", journal, session, commands=commands)


def test_same_hello_gets_same_offer(numbers: count[int]) -> None:
    """A HELLO that is said again is offered the same number."""
    sessions = Sessions()
    _, first = sessions.hello(hello("n"), False, lambda least: next(numbers))
    _, second = sessions.hello(hello("n"), False, lambda least: next(numbers))
    assert first is second


def test_old_nonce_with_another_memory_is_another_hello(numbers: count[int]) -> None:
    """A restored machine may repeat a random number; what it remembers is not the same."""
    sessions = Sessions()
    _, first = sessions.hello(hello("n"), False, lambda least: next(numbers))
    _, second = sessions.hello(hello("n", a=CommandReport("running")), False, lambda least: next(numbers))
    assert second.session > first.session


def test_confirmed_offer_voids_older_ones(numbers: count[int]) -> None:
    """An older offer can never be confirmed once a younger one was."""
    sessions = Sessions()
    _, old = sessions.hello(hello("a"), False, lambda least: next(numbers))
    _, new = sessions.hello(hello("b"), False, lambda least: next(numbers))
    assert sessions.confirm(new.session) is new
    assert sessions.confirm(old.session) is None
    assert sessions.confirmed == new.session


def test_hello_with_an_offered_number_confirms_it_first(numbers: count[int]) -> None:
    """The guest wrote the number down, its confirmation was lost, and it says HELLO anew."""
    sessions = Sessions()
    _, offer = sessions.hello(hello("a"), False, lambda least: next(numbers))
    older, _ = sessions.hello(hello("b", offer.session), False, lambda least: next(numbers))
    assert older is offer
    assert sessions.confirmed == offer.session


@pytest.mark.parametrize(
    ("session", "journal", "restored", "rolled_back"),
    [(5, "j", False, False), (4, "j", False, True), (0, "other", False, False), (5, "j", True, True)],
)
def test_roll_back(session: int, journal: str, restored: bool, rolled_back: bool, numbers: count[int]) -> None:
    """A smaller number from the same journal, or a restore of our own; another journal is another disk."""
    sessions = Sessions(confirmed=5, journal="j")
    _, offer = sessions.hello(hello("n", session, journal), restored, lambda least: next(numbers))
    assert offer.rolled_back is rolled_back


def test_number_is_larger_than_any_that_the_guest_knows() -> None:
    """Also when the ledger came from a backup and the guest is ahead of it."""
    asked = []
    Sessions(confirmed=5).hello(hello("n", 70), False, lambda least: asked.append(least) or least + 1)  # type: ignore[func-returns-value]
    assert asked == [70]


def test_open_offers_are_bounded(numbers: count[int]) -> None:
    """A guest that says ever new HELLOs costs a bounded memory."""
    sessions = Sessions()
    for n in range(MAX_OPEN + 5):
        sessions.hello(hello(str(n)), False, lambda least: next(numbers))
    assert len(sessions.offers) == MAX_OPEN
