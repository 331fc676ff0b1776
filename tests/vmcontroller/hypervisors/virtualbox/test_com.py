"""The process that speaks with VirtualBox: it answers, it may end, and it is replaced."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.vmcontroller.hypervisors.virtualbox import jobs_of_tests as jobs
from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.virtualbox.com import Com, Peer
from vmcontroller.hypervisors.virtualbox.worker import Gone


class TestCom(TestCase):
    """With real processes, without VirtualBox."""

    timeout = 60

    def setUp(self) -> None:
        self.started: list[multiprocessing.Process] = []
        self.com = Com(Host(reactor), self.start, 0.001)
        self.addCleanup(self.com.close)

    def start(self, theirs: Connection) -> Peer:
        process = multiprocessing.get_context("spawn").Process(target=jobs.serve_without_virtualbox, args=(theirs,))
        process.start()
        theirs.close()
        self.started.append(process)
        return process

    async def test_one_process_does_all(self) -> None:
        """Every job is done in the same process, which is not ours, and ends when it is let go of."""
        first = await self.com.ask(jobs.own_process)
        second = await self.com.ask(jobs.own_process)
        self.assertEqual(first, second)
        self.assertNotEqual(first, os.getpid())
        await self.com.close()
        self.assertEqual([process.is_alive() for process in self.started], [False])

    async def test_a_process_that_ends_is_replaced(self) -> None:
        """The job that was under way fails with a sentence; the next one is done by a new process."""
        first = await self.com.ask(jobs.own_process)
        failure = await self.assertFailure(self.call(jobs.end_of_process), Gone)
        self.assertIn("has ended", str(failure))
        self.assertNotEqual(await self.com.ask(jobs.own_process), first)

    async def test_a_question_is_asked_twice_at_most(self) -> None:
        """A question that ends each process fails, too."""
        await self.assertFailure(self.ask(jobs.end_of_process), HypervisorFailed)
        self.assertEqual(len(self.started), 2)

    async def test_side_by_side(self) -> None:
        """While one job waits for something, another one is done."""
        path = self.place()
        slow = Deferred.fromCoroutine(self.com.call(jobs.slow, path))
        await self.com.ask(jobs.own_process)
        self.assertFalse(slow.called)
        path.touch()
        await slow
        self.assertFalse(path.exists())

    async def test_cancelled(self) -> None:
        """A job whose caller does not wait any more goes on to its end."""
        path = self.place()
        slow = Deferred.fromCoroutine(self.com.call(jobs.slow, path))
        await self.com.ask(jobs.own_process)
        slow.cancel()
        await self.assertFailure(slow, CancelledError)
        path.touch()
        while path.exists():
            await deferLater(reactor, 0.01)

    def place(self) -> Path:
        """Where a file may be."""
        folder = tempfile.mkdtemp(prefix="vmc-")
        self.addCleanup(shutil.rmtree, folder)
        return Path(folder) / "sign"

    def call(self, job: Callable[[Any], Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.com.call(job))

    def ask(self, job: Callable[[Any], Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.com.ask(job))
