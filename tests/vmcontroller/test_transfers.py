"""Transfers are started, watched, waited for and cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from tests.vmcontroller.doubles import result
from vmcontroller.errors import NoSuchFile, UnknownTransfer
from vmcontroller.transfers import REMEMBERED, Progress, Transfers
from vmcontroller.waiters import Waiters


class Mover:
    """Moves when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.transfers = Transfers(Waiters(self.clock))
        self.work: Deferred[None] = Deferred()

    async def move(self, progress: Progress) -> None:
        self.progress = progress
        await self.work

    def start(self) -> str:
        self.work = Deferred()
        return self.transfers.start(self.move)


@pytest.fixture
def mover() -> Iterator[Mover]:
    mover = Mover()
    yield mover
    assert mover.clock.getDelayedCalls() == []


def test_done(mover: Mover) -> None:
    """Its progress can be seen while it runs."""
    transfer = mover.start()
    mover.progress(5, 10, "in")
    running = {"state": "running", "done": 5, "total": 10, "current": "in", "error": "", "faultCode": 0}
    assert mover.transfers.get(transfer).told() == running
    mover.work.callback(None)
    assert mover.transfers.get(transfer).told() == {**running, "state": "done"}


def test_waited_for(mover: Mover) -> None:
    """The wait ends with the transfer, or with its own time."""
    transfer = mover.start()
    short = ensureDeferred(mover.transfers.wait(transfer, 1))
    long = ensureDeferred(mover.transfers.wait(transfer, 60))
    mover.clock.advance(1)
    assert result(short).state == "running"
    mover.work.callback(None)
    assert result(long).state == "done"


def test_failed(mover: Mover) -> None:
    """The sentence and the fault code are those of the error."""
    transfer = mover.start()
    mover.work.errback(NoSuchFile("there is no x"))
    told = mover.transfers.get(transfer).told()
    assert (told["state"], told["error"], told["faultCode"]) == ("failed", "there is no x", 401)


def test_failed_unforeseen(mover: Mover) -> None:
    """The caller is told where to look; the log has the traceback, once."""
    logged: list[object] = []
    observer = lambda event: logged.append(event.get("log_failure"))  # noqa: E731
    globalLogPublisher.addObserver(observer)
    try:
        transfer = mover.start()
        mover.work.errback(ZeroDivisionError())
    finally:
        globalLogPublisher.removeObserver(observer)
    told = mover.transfers.get(transfer).told()
    assert (told["state"], told["faultCode"]) == ("failed", 1)
    assert "daemon.log" in told["error"]
    assert len(logged) == 1


def test_cancelled(mover: Mover) -> None:
    """Once; afterwards there is nothing to cancel."""
    transfer = mover.start()
    mover.transfers.cancel(transfer)
    assert mover.transfers.get(transfer).state == "cancelled"
    mover.transfers.cancel(transfer)


def test_cancelled_with_the_daemon(mover: Mover) -> None:
    """All at once."""
    transfers = [mover.start() for _ in range(3)]
    result(mover.transfers.cancel_all())
    assert {mover.transfers.get(transfer).state for transfer in transfers} == {"cancelled"}


def test_daemon_waits_for_what_it_cancels(mover: Mover) -> None:
    """A transfer that was cancelled ends when its thread does; until then half a file may lie there."""
    thread: Deferred[None] = Deferred()

    async def move(progress: Progress) -> None:
        try:
            await mover.work
        finally:
            await thread

    transfer = mover.transfers.start(move)
    all_ended = ensureDeferred(mover.transfers.cancel_all())
    assert not all_ended.called
    thread.callback(None)
    result(all_ended)
    assert mover.transfers.get(transfer).state == "cancelled"


def test_unknown(mover: Mover) -> None:
    """None of this id."""
    with pytest.raises(UnknownTransfer, match="forgotten"):
        mover.transfers.get("x")


def test_oldest_are_forgotten(mover: Mover) -> None:
    """Of those that have ended; one that runs is remembered however old it is."""
    running = mover.start()
    transfers = []
    for _ in range(REMEMBERED + 5):
        transfers.append(mover.start())
        mover.work.callback(None)
    mover.transfers.get(running)
    mover.transfers.get(transfers[-1])
    with pytest.raises(UnknownTransfer):
        mover.transfers.get(transfers[0])
    result(mover.transfers.cancel_all())
