"""Real programs, run by the executor in a test's own reactor."""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.vmcontroller_guest.doubles import temporary_directory
from vmcontroller.wire.words import CmdRun
from vmcontroller_guest.census import Census, birth
from vmcontroller_guest.executor import LinuxExecutor
from vmcontroller_guest.exits import adopt_orphans
from vmcontroller_guest.interfaces import Ended, NotStarted
from vmcontroller_guest.program import Surroundings
from vmcontroller_guest.running import Running

reactor: Any = global_reactor


class Watcher:
    """A Listener; ``end`` fires with Ended."""

    def __init__(self) -> None:
        self.out = {"out": b"", "err": b""}
        self.taken = 0
        self.end: Deferred[Ended] = Deferred()

    def output(self, stream: str, data: bytes) -> None:
        self.out[stream] += data

    def consumed(self, count: int) -> None:
        self.taken += count

    def ended(self, end: Ended) -> None:
        self.end.callback(end)


def _awaited(test: Callable[..., Any]) -> Callable[..., Deferred[None]]:
    @functools.wraps(test)
    def run(self: TestCase) -> Deferred[None]:
        return ensureDeferred(test(self))

    return run


class ExecutorTestCase(TestCase):
    timeout = 30

    def __init_subclass__(cls) -> None:
        """Trial awaits a test by itself only from Twisted 22.8 on."""
        for name, test in list(vars(cls).items()):
            if inspect.iscoroutinefunction(test) and name.startswith("test_"):
                setattr(cls, name, _awaited(test))

    def setUp(self) -> None:
        self.home = temporary_directory(self)
        self.served = self.home / "served"
        self.served.mkdir()
        environment = {"PATH": os.environ["PATH"], "VMCONTROLLER_OWNER": "somebody"}
        self.around = Surroundings("vm-1", self.home / "state", self.served, environment)
        self.executor = LinuxExecutor(reactor, self.around)
        self.count = 0
        adopt_orphans()
        self.addCleanup(adopt_orphans, False)

    def start(self, cmd: str, *args: str, **fields: Any) -> tuple[Running, Watcher]:
        self.count += 1
        watcher = Watcher()
        run = CmdRun(f"c{self.count}", cmd, 1, ("vm-1",), args, **fields)
        running = self.executor.start(run, watcher)
        self.addCleanup(_kill, running.pid, running.born)
        return running, watcher

    def sh(self, script: str, **fields: Any) -> tuple[Running, Watcher]:
        return self.start("/bin/sh", "-c", script, **fields)

    def python(self, script: str, **fields: Any) -> tuple[Running, Watcher]:
        return self.start(sys.executable, "-c", script, **fields)

    async def run_to_end(self, cmd: str, *args: str, **fields: Any) -> tuple[Ended, Watcher]:
        _, watcher = self.start(cmd, *args, **fields)
        return await watcher.end, watcher

    def refusal(self, cmd: str, *args: str, **fields: Any) -> str:
        with self.assertRaises(NotStarted) as raised:
            self.start(cmd, *args, **fields)
        return str(raised.exception)

    def program(self, name: str, content: str | bytes, mode: int = 0o755) -> Path:
        path = self.served / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds; the test's timeout is the deadline."""
        while not condition():
            await deferLater(reactor, 0.01)


def _kill(pid: int, born: str) -> None:
    if birth(pid) == born:
        os.killpg(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    stat = Census().all.get(pid)
    return stat is not None and not stat.ended
