"""The lease on a job's VMs: the daemon saves them when nobody renews it any more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from vmcontroller.client import Client
from wrapper.errand import Steps
from wrapper.remote import Code, Refused, Remote

#: Seconds that the daemon waits for a renewal, and between two renewals.
SECONDS = 30.0
INTERVAL = 8.0


class Lease:
    """``holder`` is what the daemon's operator reads. Renewals go over a connection of their own."""

    def __init__(self, holder: str, ring: Callable[[], None], clock: Callable[[], float]) -> None:
        self._holder = holder
        self._clock = clock
        self._keeper = Remote(ring)
        self._opening: Future[Any] | None = None
        self._renewal: Future[Any] | None = None
        self._renewed = ""
        self._due = 0.0
        #: What the daemon calls it; a successor takes up the one that its predecessor held.
        self.id = ""

    def connect(self, client: Client) -> None:
        """Renew it through this connection from now on, to a daemon that may be another than before."""
        self._keeper.client = client
        self._due = 0.0

    def open(self, remote: Remote) -> Steps[None]:
        """Open it where there is none, or where the daemon has let it run out."""
        self._take_up()
        if self.id:
            try:
                yield remote.call("renewLease", self.id)
                return
            except Refused as refusal:
                if refusal.code != Code.UNKNOWN_LEASE:
                    raise
        self._opening = remote.call("openLease", self._holder, SECONDS)
        yield self._opening
        self._take_up()

    def _take_up(self) -> None:
        """What was opened is ours, also when whoever asked for it was made to stop before the answer came."""
        opening, self._opening = self._opening, None
        if opening and opening.done() and not opening.exception():
            self.id = opening.result()

    def keep(self) -> None:
        """Renew it when that is due. Once it turns out to have run out, ``id`` is empty."""
        if self._renewal and self._renewal.done():
            error, self._renewal = self._renewal.exception(), None
            if isinstance(error, Refused) and error.code == Code.UNKNOWN_LEASE and self._renewed == self.id:
                self.id = ""
        if self.id and self._keeper.client and not self._renewal and self._clock() >= self._due:
            self._due = self._clock() + INTERVAL
            self._renewed = self.id
            self._renewal = self._keeper.call("renewLease", self.id)

    def close(self, remote: Remote) -> Steps[None]:
        """End it, now that there is nothing left to keep."""
        if self.id:
            yield remote.call("closeLease", self.id)
            self.id = ""
