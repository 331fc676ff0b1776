"""One command's processes, from the first one's start until all of them have ended. Linux only."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorFDSet, IReactorTime

from vmcontroller.wire.words import STREAMS, CmdRun
from vmcontroller_guest.census import birth, read_stat, send
from vmcontroller_guest.ending import Ending
from vmcontroller_guest.exits import watch_exit
from vmcontroller_guest.interfaces import Ended, Listener
from vmcontroller_guest.limits import OutputLimit, TimeLimit
from vmcontroller_guest.pipes import PipeReader, PipeWriter
from vmcontroller_guest.spawn import Child
from vmcontroller_guest.usage import Usage, of_ended, of_living


class Reactor(IReactorTime, IReactorFDSet):
    """What commands need of the reactor."""


class Family(Protocol):
    """Who knows which processes belong to a command."""

    def members(self, running: Running) -> set[int]:
        """All of its processes that live."""

    def survivors(self, running: Running) -> set[int]:
        """Likewise, when its first process has ended; quick where there are none, as mostly."""

    def over(self, running: Running) -> None:
        """Its processes have ended, or are left alone."""


class Running:
    """A command that was started; see ``interfaces.Process``."""

    def __init__(self, reactor: Reactor, run: CmdRun, listener: Listener, child: Child, family: Family) -> None:
        self.cmd_id = run.cmd_id
        self.pid = child.pid
        self.born = birth(child.pid)
        self.usage = Usage()
        self.status: int | None = None
        self._reactor = reactor
        self._limits = run.limits
        self._listener = listener
        self._family = family
        self._began = reactor.seconds()
        self._left: set[int] = set()
        self._ending: Ending | None = None
        self._outcome, self._reason = "", ""
        self._is_told = True
        self._is_over = False
        self._readers = {
            name: PipeReader(reactor, fd, partial(self._output, name, OutputLimit(run.limits.output_bytes)))
            for name, fd in zip(STREAMS, (child.out, child.err), strict=True)
        }
        self._writer = None if child.stdin is None else PipeWriter(reactor, child.stdin, listener.consumed)
        self._time_limit = TimeLimit(reactor, run.limits.seconds, self._too_long)
        watch_exit(reactor, child.pid, self._first_ended)

    # -- what the agent asks

    def feed(self, data: bytes, eof: bool) -> None:
        """See Process."""
        if self._writer is not None:
            self._writer.write(data, eof)

    def signal(self, number: int) -> None:
        """See Process."""
        if number not in signal.valid_signals():
            raise ValueError(f"{number} is no signal of this system")
        # The first process first: the death of a child might make it exit before its own signal comes.
        send(sorted(self._family.members(self), key=lambda pid: pid != self.pid), number)

    def pause(self, stream: str) -> None:
        """See Process."""
        self._readers[stream].pause()

    def resume(self, stream: str) -> None:
        """See Process."""
        self._readers[stream].resume()

    def stop(self) -> None:
        """End it because the agent ends; its output is still told, its end is not."""
        self._is_told = False
        self._end_all()

    # -- limits

    def _output(self, stream: str, limit: OutputLimit, data: bytes) -> None:
        passed = limit.admit(data)
        if passed:
            self._listener.output(stream, passed)
        if len(passed) < len(data):
            most = self._limits.output_bytes
            self._cut_short("signalled", f"It wrote more to {stream} than its limit of {most} octets.")

    def _too_long(self) -> None:
        self._cut_short("timedOut", f"It ran longer than its limit of {self._limits.seconds:g} s.")

    def _cut_short(self, outcome: str, reason: str) -> None:
        """A limit is reached. Where the first process has ended meanwhile, it is only told."""
        if not self._reason:
            self._reason = reason
            if self.status is None:
                self._outcome = outcome
                self._end_all()

    # -- the end

    def _first_ended(self) -> None:
        """The command is over; what it left behind may have to be ended before that can be told."""
        _, self.status, rusage = os.wait4(self.pid, 0)
        self.usage.add(of_ended(rusage))
        self._time_limit.stop()
        for reader in self._readers.values():
            reader.drain()
        if self._writer is not None:
            self._writer.close()
        self._left = self._family.survivors(self)
        if self._left and (self._limits.orphans == "kill" or self._ending is not None):
            self._end_all()
        self._finish_if_over()

    def _end_all(self) -> None:
        if self._ending is None or self._ending.over:
            self._ending = Ending(self._reactor, partial(self._family.members, self), self._finish_if_over)
            self._ending.look()

    def _finish_if_over(self) -> None:
        if self.status is None or self._is_over or (self._ending is not None and not self._ending.over):
            return
        self._is_over = True
        leaves_alone = bool(self._left) and self._ending is None
        for reader in self._readers.values():
            reader.discard() if leaves_alone else reader.close()
        if leaves_alone:
            self._count_in(self._left)
        self._family.over(self)
        if self._is_told:
            self._listener.ended(self._ended(self.status))

    def _count_in(self, pids: set[int]) -> None:
        for stat in filter(None, map(read_stat, pids)):
            self.usage.add(of_living(stat))

    def _ended(self, status: int) -> Ended:
        outcome, number = "exited", os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status):
            outcome, number = "signalled", os.WTERMSIG(status)
        elif self._outcome and self._ending is not None:
            number = self._ending.last_signal
        seconds = self._reactor.seconds() - self._began
        reason = self._reason or self._why_signalled(number)
        return Ended(self._outcome or outcome, number, reason, len(self._left), self.usage.fields, seconds)

    def _why_signalled(self, number: int) -> str:
        if (
            self.status is not None
            and os.WIFSIGNALED(self.status)
            and number == signal.SIGXCPU
            and self._limits.cpu_seconds
        ):
            return f"It used more than its limit of {self._limits.cpu_seconds:g} s of processor time."
        return ""
