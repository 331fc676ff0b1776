"""Holds a machine to a share of its processors, by stopping QEMU for a part of every tenth of a second.

QEMU has no such control of its own (its cpu-throttle belongs to migration), and a control group may be absent or not
ours. A stopped guest sees time pass that it did not get, as under any busy host. docs/reference/qemu.md tells more.
"""

from __future__ import annotations

import signal

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.proc import Process

#: Seconds of one round of running and standing.
ROUND = 0.1


class Throttle:
    """Lets one process run for ``percent`` of the time until it is released."""

    def __init__(self, clock: IReactorTime, process: Process, percent: int) -> None:
        self._clock = clock
        self._process = process
        self._share = percent / 100
        self._next: IDelayedCall | None = None
        self._run()

    def _run(self) -> None:
        proc.send(self._process, signal.SIGCONT)
        self._next = self._clock.callLater(ROUND * self._share, self._stand) if self._alive() else None

    def _stand(self) -> None:
        proc.send(self._process, signal.SIGSTOP)
        self._next = self._clock.callLater(ROUND * (1 - self._share), self._run)

    def _alive(self) -> bool:
        return self._share < 1 and proc.same(self._process) is not None

    def release(self) -> None:
        """Let it run."""
        if self._next and self._next.active():
            self._next.cancel()
        proc.send(self._process, signal.SIGCONT)
