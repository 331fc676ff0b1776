"""Sessions: how a guest joins, and how the host knows that a guest was rolled back.

A HELLO gets an *offer*: a number larger than any before. The offer counts once the guest has written it down
and says so; only then the HELLO that led to it is judged. Why: docs/reference/words.md, "Joining".
Pure: no clock, no socket, no disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vmcontroller.wire.words import Hello

#: A guest has one HELLO under way at a time; more open offers than this are echoes of old ones.
MAX_OPEN = 8


@dataclass(frozen=True)
class Offer:
    """A session number that was offered in answer to a HELLO, and whether that HELLO tells of a roll-back."""

    session: int
    hello: Hello
    rolled_back: bool


@dataclass
class Sessions:
    """The offers that are open for one guest, and the session that it has confirmed (0: none)."""

    confirmed: int = 0
    journal: str = ""
    offers: dict[str, Offer] = field(default_factory=dict)

    def hello(self, hello: Hello, restored: bool, next_number: Callable[[int], int]) -> tuple[Offer | None, Offer]:
        """Answer a HELLO: the older offer that it confirms, if any, and the offer to make now.

        ``restored``: the host itself restored this guest since it last joined. ``next_number`` takes the
        largest number that the guest knows of and gives a larger, never used one, already on disk.
        """
        known = self.offers.get(hello.nonce)
        if known is not None and known.hello.same_moment(hello):
            return None, known
        older = self.confirm(hello.session) if hello.session > self.confirmed else None
        rolled_back = restored or (hello.journal == self.journal and hello.session < self.confirmed)
        offer = Offer(next_number(max(hello.session, self.confirmed)), hello, rolled_back)
        self.offers[hello.nonce] = offer
        while len(self.offers) > MAX_OPEN:
            del self.offers[next(iter(self.offers))]
        return older, offer

    def confirm(self, session: int) -> Offer | None:
        """The guest has written this number down: the offer that counts from now on, or None if none is open."""
        offer = next((offer for offer in self.offers.values() if offer.session == session), None)
        if offer is None:
            return None
        # An older offer can never be confirmed any more; a younger one answers a HELLO still to be settled.
        self.offers = {key: other for key, other in self.offers.items() if other.session > session}
        self.confirmed, self.journal = session, offer.hello.journal
        return offer
