"""How the agent learns that processes have ended, its children by birth and those that it adopted. Linux only."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds between two looks at a process where there is no pidfd (Linux before 5.3).
_GLANCE = 0.02


def adopt_orphans(adopt: bool = True) -> None:
    """From now on descendants that lose their parent become children of this process (prctl(2)). OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@implementer(IReadDescriptor)
class ExitWatch:
    """Calls ``gone`` when a child of ours has ended; it is a zombie then, and its pid still means it."""

    def __init__(self, reactor: IReactorFDSet, pid: int, gone: Callable[[], None]) -> None:
        self._reactor = reactor
        self._gone = gone
        self._fd = os.pidfd_open(pid)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> None:
        self._close()
        self._gone()

    def connectionLost(self, reason: Failure) -> None:
        self._close()

    def _close(self) -> None:
        self._reactor.removeReader(self)
        os.close(self._fd)

    def logPrefix(self) -> str:
        return "process"


def watch_exit(reactor: Any, pid: int, gone: Callable[[], None]) -> None:
    """Call ``gone`` once a child of ours has ended, and leave it to the caller to wait for it."""
    try:
        ExitWatch(reactor, pid, gone)
    except (AttributeError, OSError):
        reactor.callLater(0, _glance, reactor, pid, gone)


def _glance(clock: IReactorTime, pid: int, gone: Callable[[], None]) -> None:
    """Look now and then: for a Python or a kernel without pidfd."""
    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        gone()
    else:
        clock.callLater(_GLANCE, _glance, clock, pid, gone)


def childless() -> bool:
    """Whether this process has no child at all, not even a zombie."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
