"""What a command may use: time, processor time, memory, output. 0 is no limit."""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from vmcontroller.wire.words import Limits
from vmcontroller_guest.timers import Timer

#: Seconds between two looks at the clock.
_TICK = 1.0
#: Seconds of processor time between SIGXCPU and SIGKILL.
_CPU_GRACE = 5
#: The longest processor time that is set, in seconds: 30,000 years.
_LONGEST = 10**12


class TimeLimit:
    """Calls ``expired`` when a command has had ``seconds``; time in which the agent itself stood still is not counted.

    It stands still while its machine is paused, where the machine is a set of stopped processes.
    """

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._left = seconds
        self._expired = expired
        self._timer = Timer(clock, self._look)
        if seconds > 0:
            self._wait()

    def stop(self) -> None:
        """The command has ended."""
        self._timer.stop()

    def _wait(self) -> None:
        self._waiting = min(self._left, _TICK)
        self._since = self._clock.seconds()
        self._timer.start(self._waiting)

    def _look(self) -> None:
        self._left -= min(self._clock.seconds() - self._since, 2 * self._waiting)
        if self._left > 0:
            self._wait()
        else:
            self._expired()


class OutputLimit:
    """Lets ``octets`` of one stream through."""

    def __init__(self, octets: int) -> None:
        self._left = octets if octets else math.inf

    def admit(self, data: bytes) -> bytes:
        """What of the data may pass."""
        passed = data if len(data) <= self._left else data[: int(self._left)]
        self._left -= len(passed)
        return passed


def limit_process(pid: int, limits: Limits) -> None:
    """Set the limits that the kernel enforces, on a process that was just started; its children inherit them."""
    import resource  # noqa: PLC0415  absent on Windows

    if 0 < limits.cpu_seconds < math.inf:
        seconds = math.ceil(min(limits.cpu_seconds, _LONGEST))
        _set(pid, resource.RLIMIT_CPU, seconds, seconds + _CPU_GRACE)
    if limits.memory_bytes:
        _set(pid, resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes)


def _set(pid: int, which: int, soft: int, hard: int) -> None:
    import resource  # noqa: PLC0415  absent on Windows

    try:
        highest = resource.prlimit(pid, which)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.prlimit(pid, which, (soft, hard))
    except OSError:
        pass  # it has ended already, or runs as another user, whose limits are not ours to set
