"""VMs whose holder is gone are saved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from tests.vmcontroller.doubles import result
from vmcontroller.errors import BadRequest, HypervisorFailed, NotRunning, UnknownLease
from vmcontroller.leases import LONGEST, Leases
from vmcontroller.ledger import Ledger


class Holder:
    """Leases, and what becomes of the VMs under them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(":memory:")
        self.saved: list[str] = []
        self.broken: set[str] = set()
        self.slow: Deferred[None] | None = None
        self.times_none_left = 0
        self.leases = self.again()

    def again(self) -> Leases:
        """The leases as a daemon finds them that starts anew."""
        return Leases(self.clock, self.ledger, self._save, self._none_left)

    async def _save(self, vm: str) -> None:
        if self.slow is not None:
            await self.slow
        if vm in self.broken:
            raise HypervisorFailed(f"{vm} cannot be saved")
        self.saved.append(vm)

    def _none_left(self) -> None:
        self.times_none_left += 1

    def open(self, seconds: float, *vms: str) -> str:
        """A lease with these VMs under it."""
        lease = self.leases.open("me", seconds)
        for vm in vms:
            self.leases.add(lease, vm)
        return lease


@pytest.fixture
def holder() -> Iterator[Holder]:
    holder = Holder()
    yield holder
    holder.leases.stop()
    assert holder.clock.getDelayedCalls() == []
    holder.ledger.close()


def test_runs_out(holder: Holder) -> None:
    """Its VMs are saved, and who lives for leases hears that there is none."""
    lease = holder.open(30, "a", "b")
    holder.clock.advance(29)
    assert holder.saved == []
    holder.clock.advance(1)
    assert holder.saved == ["a", "b"]
    assert (holder.times_none_left, holder.leases.count(), holder.ledger.leases()) == (1, 0, {})
    with pytest.raises(UnknownLease, match="may have run out"):
        holder.leases.renew(lease)


def test_renewed(holder: Holder) -> None:
    """Its time begins anew."""
    lease = holder.open(30, "a")
    for _ in range(5):
        holder.clock.advance(20)
        holder.leases.renew(lease)
    assert holder.saved == []


def test_closed(holder: Holder) -> None:
    """At once; another lease goes on."""
    other = holder.open(30, "b")
    result(holder.leases.close(holder.open(30, "a")))
    assert (holder.saved, holder.times_none_left) == (["a"], 0)
    holder.leases.check(other)


def test_moves_to_another(holder: Holder) -> None:
    """A VM is under one lease at a time, the newest."""
    older, newer = holder.open(30, "a"), holder.open(30, "a")
    result(holder.leases.close(older))
    assert holder.saved == []
    result(holder.leases.close(newer))
    assert holder.saved == ["a"]


def test_one_cannot_be_saved(holder: Holder) -> None:
    """The others are, the lease ends all the same, and the caller hears why."""
    lease = holder.open(30, "a", "b", "c")
    holder.broken.add("b")
    with pytest.raises(HypervisorFailed, match="b cannot be saved"):
        result(holder.leases.close(lease))
    assert (holder.saved, holder.times_none_left, holder.ledger.leases()) == (["a", "c"], 1, {})


def test_daemon_dies_while_it_saves(holder: Holder) -> None:
    """The next daemon finds the lease and tries again."""
    holder.open(30, "a")
    holder.slow = Deferred()
    holder.clock.advance(30)
    holder.slow = None
    holder.leases = holder.again()
    holder.leases.take_up()
    holder.clock.advance(30)
    assert holder.saved == ["a"]


def test_daemon_starts_again(holder: Holder) -> None:
    """Each lease has its full time once more."""
    lease = holder.open(30, "a")
    holder.clock.advance(29)
    holder.leases.stop()
    holder.leases = holder.again()
    holder.leases.take_up()
    holder.clock.advance(29)
    assert holder.saved == []
    holder.leases.renew(lease)


def test_taken_up_while_others_are_saved(holder: Holder) -> None:
    """A VM that a new holder has put under a lease of his own is left to him."""
    lease = holder.open(30, "a", "b")
    holder.slow = Deferred()
    closing = ensureDeferred(holder.leases.close(lease))
    holder.open(30, "b")
    holder.slow.callback(None)
    result(closing)
    assert holder.saved == ["a"]


def test_closed_twice_at_once(holder: Holder) -> None:
    """The second finds none."""
    lease = holder.open(30, "a")
    holder.slow = Deferred()
    closing = ensureDeferred(holder.leases.close(lease))
    with pytest.raises(UnknownLease):
        result(holder.leases.close(lease))
    holder.slow.callback(None)
    result(closing)
    assert holder.saved == ["a"]


@pytest.mark.parametrize("seconds", [0, -1, LONGEST + 1, float("nan")])
def test_seconds(holder: Holder, seconds: float) -> None:
    """A lease has an end, and not at once."""
    with pytest.raises(BadRequest, match="seconds must lie between"):
        holder.leases.open("me", seconds)


def test_unknown(holder: Holder) -> None:
    """No VM is put under a lease that there is not."""
    with pytest.raises(UnknownLease):
        holder.leases.add("none", "a")


def test_daemon_is_about_to_end(holder: Holder) -> None:
    """A lease that would be opened or ended now is the next daemon's matter: it keeps those that there were."""
    lease = holder.open(30)
    holder.leases.stop()
    for ask in (lambda: holder.leases.open("me", 30), lambda: holder.leases.renew(lease)):
        with pytest.raises(NotRunning):
            ask()
    with pytest.raises(NotRunning):
        result(ensureDeferred(holder.leases.close(lease)))
    assert list(holder.ledger.leases()) == [lease]
