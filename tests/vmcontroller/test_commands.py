"""The table of a command's states: whole, unambiguous where it matters, and what the design says."""

from __future__ import annotations

from itertools import product

import pytest

from vmcontroller.commands import OPEN, OUTCOMES, Deed, Event, Seen, State, after, reconcile


@pytest.mark.parametrize(("state", "seen", "rolled_back"), [*product(State, Seen, (False, True))])
def test_every_case_has_a_row(state: State, seen: Seen, rolled_back: bool) -> None:
    """Whatever the ledger says and the guest says, something follows."""
    assert reconcile(state, seen, rolled_back).deed in Deed


@pytest.mark.parametrize(
    ("state", "seen", "rolled_back", "then", "deed"),
    [
        (State.SENT, Seen.UNKNOWN, False, State.SENT, Deed.SEND),
        (State.SENT, Seen.UNKNOWN, True, State.SENT, Deed.SEND),
        (State.SENT, Seen.RUNNING, False, State.ACCEPTED, Deed.AWAIT),
        (State.ACCEPTED, Seen.RUNNING, False, State.ACCEPTED, Deed.AWAIT),
        (State.ACCEPTED, Seen.RUNNING, True, State.ACCEPTED, Deed.CUT),
        (State.ACCEPTED, Seen.FINISHED, False, State.ACCEPTED, Deed.AWAIT),
        (State.ACCEPTED, Seen.DEAD, False, State.ACCEPTED, Deed.AWAIT),
        (State.ACCEPTED, Seen.UNKNOWN, False, State.LOST, Deed.END),
        (State.ACCEPTED, Seen.UNKNOWN, True, State.ROLLED_BACK, Deed.REPLAY),
        (State.LOST, Seen.RUNNING, True, State.ACCEPTED, Deed.REOPEN),
        (State.ROLLED_BACK, Seen.RUNNING, True, State.ACCEPTED, Deed.REOPEN),
        (State.LOST, Seen.DEAD, True, None, Deed.DROP),
        (State.EXITED, Seen.RUNNING, True, None, Deed.DROP),
        (None, Seen.RUNNING, False, None, Deed.FOREIGN),
    ],
)
def test_design_table(state: State | None, seen: Seen, rolled_back: bool, then: State | None, deed: Deed) -> None:
    """The rows of the design, section 8."""
    row = reconcile(state, seen, rolled_back)
    assert (row.next, row.deed) == (then, deed)


@pytest.mark.parametrize(("state", "event"), [*product(sorted(OUTCOMES), Event)])
def test_first_outcome_stands(state: State, event: Event) -> None:
    """Outside HELLO nothing moves a part that has ended."""
    assert after(state, event, State.EXITED) is state


@pytest.mark.parametrize("state", sorted(OPEN))
def test_open_parts_move(state: State) -> None:
    """An open part is accepted, takes the result's outcome, or is lost with its VM."""
    assert after(state, Event.ACCEPTED) is State.ACCEPTED
    assert after(state, Event.RESULT, State.TIMED_OUT) is State.TIMED_OUT
    assert after(state, Event.REMOVED) is State.LOST
