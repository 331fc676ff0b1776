"""The end of a process is noticed, child or not, with a pidfd or without."""

from __future__ import annotations

import errno
import os
import subprocess
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from vmcontroller.hypervisors.common import proc, watch
from vmcontroller.hypervisors.common.record import Running


class TestWatch(TestCase):
    """The end of a process is noticed in both ways."""

    timeout = 30

    def agent(self) -> tuple[subprocess.Popen[bytes], Running]:
        process = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        born = proc.read(process.pid)
        return process, Running(process.pid, born.started, proc.boot_id())

    async def test_pidfd(self) -> None:
        """Through a pidfd."""
        process, running = self.agent()
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        process.kill()
        await ended

    async def test_polling(self) -> None:
        """By looking now and then where there is no pidfd."""
        process, running = self.agent()
        self.patch(os, "pidfd_open", mock.Mock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        process.kill()
        await ended

    async def test_ended_before(self) -> None:
        """A process that has ended already is noticed later, not at once."""
        process, running = self.agent()
        process.kill()
        process.wait()
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        self.assertFalse(ended.called)
        await ended

    def test_stopped_watch(self) -> None:
        """A watch that was stopped leaves neither reader nor call behind, stopped once or twice."""
        for patched in (False, True):
            if patched:
                self.patch(os, "pidfd_open", mock.Mock(side_effect=OSError))
            _, running = self.agent()
            stop = watch.watch(reactor, running, self.fail)
            stop()
            stop()
        self.assertFalse([reader for reader in reactor.getReaders() if isinstance(reader, watch._Pidfd)])
