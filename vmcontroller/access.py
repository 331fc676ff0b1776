"""What each guest may do at the broker: the embedded one obeys it, an operator has an external one obey it."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmcontroller.records import GuestRecord
from vmcontroller.wire.destinations import GuestDestinations
from vmcontroller.wire.keys import passcode


@dataclass(frozen=True)
class Access:
    """One login: what it may subscribe to and what it may send to, as STOMP destinations."""

    login: str
    passcode: str = field(repr=False)
    read: tuple[str, ...]
    write: tuple[str, ...]


def of_guest(daemon: str, guest: GuestRecord) -> Access:
    """A guest logs in as its id, reads its inbox and its group's destination, writes to its outbox, and no more."""
    its = GuestDestinations(daemon, guest.group, guest.vm)
    return Access(guest.vm, passcode(guest.secret), read=(its.inbox, its.everybody), write=(its.outbox,))
