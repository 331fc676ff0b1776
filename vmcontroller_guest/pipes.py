"""The ends of a program's pipes, in the reactor. Unix only."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_READ = 64 * 1024
#: Octets that are looked for in a pipe when its program has ended; no pipe holds more by default.
_LAST = 1024 * 1024


@implementer(IReadDescriptor)
class PipeReader:
    """Reads a pipe and hands on what comes; closes it at its end."""

    def __init__(self, reactor: IReactorFDSet, fd: int, deliver: Callable[[bytes], None]) -> None:
        self._reactor = reactor
        self._fd = fd
        self._deliver = deliver
        os.set_blocking(fd, False)
        reactor.addReader(self)

    def pause(self) -> None:
        """Leave in the pipe what is in it."""
        if self._fd >= 0:
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read again."""
        if self._fd >= 0:
            self._reactor.addReader(self)

    def drain(self) -> None:
        """Hand on what is in the pipe now."""
        left = _LAST
        while self._fd >= 0 and left > 0 and (count := self._read()):
            left -= count

    def discard(self) -> None:
        """Read on for the sake of whoever still writes, and throw it away."""
        self._deliver = lambda data: None
        self.resume()

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> int:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return 0
        if data:
            self._deliver(data)
        else:
            self.close()
        return len(data)

    # -- IReadDescriptor

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> None:
        self._read()

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "output"


@implementer(IWriteDescriptor)
class PipeWriter:
    """Writes to a pipe as fast as its reader reads; ``consumed(count)`` tells what it took, or never will take."""

    def __init__(self, reactor: IReactorFDSet, fd: int, consumed: Callable[[int], None]) -> None:
        self._reactor = reactor
        self._fd = fd
        self._consumed = consumed
        self._waiting: deque[bytes] = deque()
        self._ends = False
        os.set_blocking(fd, False)

    def write(self, data: bytes, eof: bool) -> None:
        """Write this behind what was given before; ``eof`` closes the pipe behind it."""
        self._ends = self._ends or eof
        if data:
            self._waiting.append(data)
        if self._fd < 0:
            self._drop()
        elif self._waiting or self._ends:
            self._reactor.addWriter(self)

    def close(self) -> None:
        """Write no more; what waits is dropped."""
        if self._fd >= 0:
            self._reactor.removeWriter(self)
            os.close(self._fd)
            self._fd = -1
        self._drop()

    def _drop(self) -> None:
        count = sum(map(len, self._waiting))
        self._waiting.clear()
        if count:
            self._consumed(count)

    # -- IWriteDescriptor

    def fileno(self) -> int:
        return self._fd

    def doWrite(self) -> None:
        try:
            count = os.write(self._fd, self._waiting[0]) if self._waiting else 0
        except BlockingIOError:
            return
        except OSError:  # the program reads no more
            return self.close()
        if count:
            self._took(count)
        if not self._waiting and self._ends:
            self.close()
        elif not self._waiting:
            self._reactor.removeWriter(self)

    def _took(self, count: int) -> None:
        first = self._waiting.popleft()
        if count < len(first):
            self._waiting.appendleft(first[count:])
        self._consumed(count)

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "input"
