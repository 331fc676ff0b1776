"""Notices that the computer has slept, or that its clock was set: the clocks of all guests are wrong then.

A guest's machine does not know of it, and its agent hears the right time in WELCOME alone.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

#: Seconds between two looks, and by how many two clocks may differ between them.
INTERVAL, TOLERANCE = 2.0, 1.0


class Wakening:
    """``clock`` is monotonic, ``wall`` gives seconds since the epoch; ``woken`` is called after a sleep or a jump."""

    def __init__(self, clock: IReactorTime, wall: Callable[[], float], woken: Callable[[], None]) -> None:
        self._clock = clock
        self._wall = wall
        self._woken = woken
        self._seen = (0.0, 0.0)
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    def start(self) -> None:
        """Look from now on."""
        self._seen = self._clock.seconds(), self._wall()
        self._looks.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looks.running:
            self._looks.stop()

    def _look(self) -> None:
        before, self._seen = self._seen, (self._clock.seconds(), self._wall())
        passed, told = (now - then for now, then in zip(self._seen, before, strict=True))
        # Linux and macOS do not count sleep as time that passes; elsewhere it shows in that nobody looked.
        if abs(told - passed) > TOLERANCE or passed > 2 * INTERVAL:
            self._woken()
