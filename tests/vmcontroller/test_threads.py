"""Work in a thread of its own, and how it is cancelled."""

from __future__ import annotations

import threading

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.python.threadable import isInIOThread
from twisted.trial.unittest import TestCase

from vmcontroller.threads import in_a_thread


def nothing() -> None:
    """What cannot be aborted."""


class InAThreadTests(TestCase):
    """The Deferred follows the thread."""

    async def test_it_fires_with_what_the_work_returns(self) -> None:
        """Which was done elsewhere."""
        self.assertIs(await in_a_thread(reactor, isInIOThread, nothing), False)
        self.assertTrue(isInIOThread())

    async def test_it_fails_with_what_the_work_raises(self) -> None:
        """Whatever it is."""
        with self.assertRaises(ZeroDivisionError):
            await in_a_thread(reactor, lambda: 1 // 0, nothing)

    async def test_cancelling_aborts_and_waits(self) -> None:
        """When it fires, the work has ended."""
        aborted, ended = threading.Event(), threading.Event()

        def work() -> None:
            aborted.wait(10)
            ended.set()

        working = in_a_thread(reactor, work, aborted.set)
        working.cancel()
        with self.assertRaises(CancelledError):
            await working
        self.assertTrue(ended.is_set())
