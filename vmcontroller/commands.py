"""A command's states, and everything that moves it: one table in one file.

A command that was sent to several VMs has one *part* per VM; each part has a state of its own. Nothing here
knows a database or a socket. docs/reference/commands.md holds the same table as a drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a part stands. The last six are outcomes, and final but for the one row that reopens."""

    SENT = "sent"
    ACCEPTED = "accepted"
    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timedOut"
    NOT_STARTED = "notStarted"
    LOST = "lost"
    ROLLED_BACK = "rolledBack"


OPEN = frozenset({State.SENT, State.ACCEPTED})
TRUE_OUTCOMES = frozenset({State.EXITED, State.SIGNALLED, State.TIMED_OUT, State.NOT_STARTED})
GONE = frozenset({State.LOST, State.ROLLED_BACK})
OUTCOMES = TRUE_OUTCOMES | GONE


class Seen(StrEnum):
    """What a guest says of a command in HELLO; ``unknown`` is what it does not mention."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    FINISHED = "finished"
    DEAD = "dead"


KNOWN = frozenset({Seen.RUNNING, Seen.FINISHED, Seen.DEAD})


class Deed(StrEnum):
    """What the host does about it."""

    SEND = "send again"
    AWAIT = "await the rest and the result"
    CUT = "cut the stored output to the guest's length, then await"
    END = "end with this outcome and the output that was saved"
    REPLAY = "end with this outcome, or send again if the caller asked for replay"
    REOPEN = "open again, cut the stored output to the guest's length, then await"
    DROP = "the outcome stands; confirm and drop what comes"
    FOREIGN = "confirm nothing; show it to the operator"


@dataclass(frozen=True)
class Row:
    """In one of these states, when a guest that was (not) rolled back says this: what follows."""

    states: frozenset[State] | None
    seen: frozenset[Seen]
    rolled_back: bool | None
    next: State | None
    deed: Deed


def _row(states: set[State] | frozenset[State] | None, seen: set[Seen] | frozenset[Seen], **then: object) -> Row:
    frozen = None if states is None else frozenset(states)
    return Row(frozen, frozenset(seen), **then)  # type: ignore[arg-type]


#: Read from the top, the first row that fits holds. ``rolled_back`` None: either; ``next`` None: as it is.
RECONCILIATION: tuple[Row, ...] = (
    _row({State.SENT}, {Seen.UNKNOWN}, rolled_back=None, next=State.SENT, deed=Deed.SEND),
    _row(OPEN, KNOWN, rolled_back=False, next=State.ACCEPTED, deed=Deed.AWAIT),
    _row(OPEN, KNOWN, rolled_back=True, next=State.ACCEPTED, deed=Deed.CUT),
    _row({State.ACCEPTED}, {Seen.UNKNOWN}, rolled_back=False, next=State.LOST, deed=Deed.END),
    _row({State.ACCEPTED}, {Seen.UNKNOWN}, rolled_back=True, next=State.ROLLED_BACK, deed=Deed.REPLAY),
    _row(GONE, {Seen.RUNNING, Seen.FINISHED}, rolled_back=True, next=State.ACCEPTED, deed=Deed.REOPEN),
    _row(OUTCOMES, frozenset(Seen), rolled_back=None, next=None, deed=Deed.DROP),
    _row(None, KNOWN, rolled_back=None, next=None, deed=Deed.FOREIGN),
)


def reconcile(state: State | None, seen: Seen, rolled_back: bool) -> Row:
    """The row for a part in ``state`` (None: the ledger has no such part) of which a HELLO says ``seen``."""
    for row in RECONCILIATION:
        states_fit = state is None if row.states is None else state in row.states
        if states_fit and seen in row.seen and row.rolled_back in (None, rolled_back):
            return row
    raise AssertionError(f"no row for {state} and {seen}")  # the test of this table shows that it is whole


class Event(StrEnum):
    """What moves a part outside HELLO."""

    ACCEPTED = "CMD_ACCEPTED"
    RESULT = "CMD_RESULTS, and every octet of its output is here"
    REMOVED = "the VM was removed"


def after(state: State, event: Event, outcome: State | None = None) -> State:
    """The state that follows. ``outcome`` is the result's. Once ended, a part stays as it is."""
    if state in OUTCOMES:
        return state
    if event is Event.ACCEPTED:
        return State.ACCEPTED
    if event is Event.REMOVED:
        return State.LOST
    assert outcome in OUTCOMES
    return outcome
