"""How the daemon speaks with VirtualBox: all COM lives in a process of its own, which is started when it is needed.

VirtualBox's client library blocks, is bound to the thread that opened it, and cannot be opened again in a process
that lost its service. A process can be waited for in a thread, thrown away and replaced. ``call`` sends it a job (a
function that can be pickled, see worker.py) and looks from time to time whether what the job began is done, so that
long jobs for several machines go on side by side. Nothing here knows what a job does.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater

from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.virtualbox.worker import Gone, Job, Step, serve

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: Seconds that the process has for one answer; it begins long work and does not wait for it.
_ANSWER = 120.0
#: Seconds before a second attempt: a service that is just ending takes nobody.
_RECOVERY = 1.0
#: Seconds that the process has to let go of VirtualBox.
_PATIENCE = 5.0


class Peer(Protocol):
    """Who serves the other end of a connection: a process, in tests a thread."""

    def join(self, timeout: float | None = None) -> None: ...

    def kill(self) -> None: ...


class Com:
    """The one way to VirtualBox. ``start`` starts somebody who serves a connection.

    ``period`` are the seconds between two looks at what is under way.
    """

    def __init__(self, host: Host, start: Callable[[Connection], Peer], period: float) -> None:
        self._host = host
        self._start = start
        self._period = period
        self._turn = DeferredLock()
        self._line: _Line | None = None

    def close(self) -> Deferred[None]:
        """Let go of VirtualBox and of the process, after what was said before. Open again by itself when needed."""
        return self._turn.run(self._host.in_thread, self._hang_up)

    async def ask(self, job: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A job that changes nothing: it is done again when VirtualBox's service went away meanwhile."""
        try:
            value: R = await self.call(job, *args, **kwargs)
        except Gone:
            await deferLater(self._host.reactor, _RECOVERY)
            value = await self.call(job, *args, **kwargs)
        return value

    async def call(self, job: Callable[Concatenate[Any, P], Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Have a job done, and wait for what it began. Gone, a HypervisorFailed, when the service went away.

        Who cancels waits no longer; the job goes on to its end, as VirtualBox does.
        """
        return await _regardless(Deferred.fromCoroutine(self._through(Job(job, args, kwargs))))

    async def _through(self, job: Job) -> Any:
        line, step = await self._say(None, job)
        while step.token is not None:
            await deferLater(self._host.reactor, self._period)
            line, step = await self._say(line, step.token)
        return step.value

    def _say(self, line: _Line | None, what: Job | int) -> Deferred[tuple[_Line, Step]]:
        return self._turn.run(self._host.in_thread, self._exchange, line, what)

    # -- in a thread, one call at a time

    def _exchange(self, line: _Line | None, what: Job | int) -> tuple[_Line, Step]:
        if line is not None and line is not self._line:
            raise Gone("VirtualBox's service went away meanwhile; look at the machine's state, and try again")
        self._line = line = self._line or _Line(self._start)
        try:
            return line, line.exchange(what)
        except Gone:
            self._line = None
            line.cut()
            raise

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()
            self._line = None


def _regardless(work: Deferred[T]) -> Deferred[T]:
    """Fires as ``work`` does. Cancelling it leaves the work alone."""
    waiting: Deferred[T] = Deferred()

    def tell(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)

    work.addBoth(tell)
    return waiting


class _Line:
    """A connection, and who serves its other end."""

    def __init__(self, start: Callable[[Connection], Peer]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._peer = start(theirs)

    def exchange(self, what: Job | int) -> Step:
        """The answer to one request; raises what the job raised."""
        try:
            self._ours.send(what)
            if not self._ours.poll(_ANSWER):
                raise Gone(f"VirtualBox has not answered for {_ANSWER:.0f} s; look at its logs, and try again")
            answer = self._ours.recv()
        except (EOFError, OSError) as error:
            raise Gone("the process that speaks with VirtualBox has ended; look at the state, and try again") from error
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    def hang_up(self) -> None:
        """The peer lets go of VirtualBox and ends."""
        self._ours.close()
        self._peer.join(_PATIENCE)
        self.cut()

    def cut(self) -> None:
        """End the peer; it has nothing any more to let go of."""
        self._ours.close()
        self._peer.kill()
        self._peer.join(_PATIENCE)


def in_process(theirs: Connection) -> Peer:
    """Serve it in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_serve_alone, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return process


def _serve_alone(connection: Connection) -> None:
    """The process. Ctrl-C in a terminal is meant for the daemon, which ends this process then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(connection)
