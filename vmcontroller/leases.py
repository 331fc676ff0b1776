"""Leases: who has VMs renews a lease; when that stops, the VMs are saved, for whoever takes them up again.

A lease survives a restart of the daemon: each one then has its full time again.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from vmcontroller.errors import BadRequest, NotRunning, UnknownLease
from vmcontroller.ledger import Ledger

LONGEST = 24 * 3600.0


class Leases:
    """``save`` puts a VM away; ``none_left`` is told when the last lease has ended."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        ledger: Ledger,
        save: Callable[[str], Awaitable[None]],
        none_left: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._save = save
        self._none_left = none_left
        self._ends: dict[str, IDelayedCall] = {}
        self._stopped = False

    def take_up(self) -> None:
        """Give every lease of an earlier run its full time."""
        for lease, (_, seconds) in self._ledger.leases().items():
            self._schedule(lease, seconds)

    def stop(self) -> None:
        """No lease ends any more, and none begins: whoever holds one finds it at the next daemon."""
        self._stopped = True
        for call in self._ends.values():
            call.cancel()
        self._ends.clear()

    def open(self, holder: str, seconds: float) -> str:
        """A new lease for ``holder``, any text; it ends ``seconds`` after its last renewal."""
        if not 1 <= seconds <= LONGEST:
            raise BadRequest(f"openLease: seconds must lie between 1 and {LONGEST:g}, not {seconds!r}")
        self._demand_daemon()
        lease = str(uuid.uuid4())
        self._ledger.add_lease(lease, holder, seconds)
        self._schedule(lease, seconds)
        return lease

    def _schedule(self, lease: str, seconds: float) -> None:
        self._ends[lease] = self._clock.callLater(seconds, self._expired, lease)

    def renew(self, lease: str) -> None:
        """It ends its full time from now. UnknownLease when it has ended already."""
        self.check(lease)
        self._ends[lease].reset(self._ledger.leases()[lease][1])

    def check(self, lease: str) -> None:
        """UnknownLease if there is none of this id; NotRunning when the daemon is about to end."""
        self._demand_daemon()
        if lease not in self._ends:
            raise UnknownLease(f"there is no lease {lease!r}; it may have run out: open a new one")

    def _demand_daemon(self) -> None:
        if self._stopped:
            raise NotRunning("the daemon is about to end; start it again")

    def add(self, lease: str, vm: str) -> None:
        """Put a VM under the lease."""
        self.check(lease)
        self._ledger.lease_vm(vm, lease)

    def count(self) -> int:
        """How many leases there are."""
        return len(self._ends)

    def _expired(self, lease: str) -> None:
        holder = self._ledger.leases()[lease][0]
        self.log.warn("the lease of {holder} has run out", holder=holder)
        ensureDeferred(self.close(lease, cancel=False)).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("a lease could not be ended", failure)

    async def close(self, lease: str, cancel: bool = True) -> None:
        """End it: its VMs that still run are saved. It stands in the ledger until they are, for another try.

        What keeps one VM from being saved is raised when the others are.
        """
        self.check(lease)
        call = self._ends.pop(lease)
        if cancel:
            call.cancel()
        errors = [error for vm in self._ledger.leased(lease) if (error := await self._try_to_save(vm, lease))]
        self._ledger.remove_lease(lease)
        if not self._ends:
            self._none_left()
        if errors:
            raise errors[0]

    async def _try_to_save(self, vm: str, lease: str) -> Exception | None:
        try:
            if vm in self._ledger.leased(lease):  # else somebody has taken it up meanwhile
                await self._save(vm)
        except Exception as error:
            self.log.error("{vm}, whose lease has ended, could not be saved: {error}", vm=vm, error=error)
            return error
        return None
