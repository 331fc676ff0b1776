"""Notices the end of a machine's process, be it our child or one that an earlier daemon started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.host import IPluginReactor
from vmcontroller.hypervisors.common.proc import Process
from vmcontroller.hypervisors.common.record import Running

_POLL = 0.25
_GLANCE = 0.001
_PATIENCE = 1.0


def process_of(running: Running) -> Process | None:
    """The process, or None when it runs no more, whatever has its process id by now."""
    process = proc.read(running.pid)
    if process is None or process.ended:
        return None
    return process if (process.started, proc.boot_id()) == (running.started, running.boot) else None


def watch(reactor: IPluginReactor, running: Running, ended: Callable[[], None]) -> Callable[[], None]:
    """Call ``ended`` once, later, when it ends or has ended. Returns what stops the watch."""
    try:
        handle = os.pidfd_open(running.pid)
    except (AttributeError, OSError):  # An old kernel, a sandbox, or it has ended already.
        return _poll(reactor, running, ended)
    if not process_of(running):
        os.close(handle)
        return _poll(reactor, running, ended)
    return _Pidfd(reactor, handle, ended).stop


def _poll(reactor: IReactorTime, running: Running, ended: Callable[[], None]) -> Callable[[], None]:
    def look() -> None:
        if not process_of(running):
            stop()
            ended()

    def stop() -> None:
        if loop.running:
            loop.stop()

    loop = LoopingCall(look)
    loop.clock = reactor
    loop.start(_POLL, now=False)
    return stop


@implementer(IReadDescriptor)
class _Pidfd:
    """Readable when the process has ended (pidfd_open(2))."""

    def __init__(self, reactor: IReactorFDSet, handle: int, ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._handle = handle
        self._ended = ended
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._handle

    def logPrefix(self) -> str:
        return "machine's end"

    def doRead(self) -> None:
        self.stop()
        self._ended()

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def stop(self) -> None:
        """Look no more. Nothing happens the second time."""
        if self._handle >= 0:
            self._reactor.removeReader(self)
            os.close(self._handle)
            self._handle = -1


def reap(running: Running) -> None:
    """Take note of the end of a process that was our child, so that nothing of it is left.

    Blocks for a moment: one that shows as ended may still have threads that are ending.
    """
    until = time.monotonic() + _PATIENCE
    while _is_unburied(running) and time.monotonic() < until:
        try:
            os.waitpid(running.pid, os.WNOHANG)
        except ChildProcessError:
            return
        time.sleep(_GLANCE)


def _is_unburied(running: Running) -> bool:
    process = proc.read(running.pid)
    return process is not None and process.started == running.started and process.ended
