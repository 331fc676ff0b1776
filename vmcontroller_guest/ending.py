"""Ends processes: asks them with SIGTERM, gives them a while, then kills them; tells when they are gone."""

from __future__ import annotations

import signal
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller_guest.census import send

#: Seconds between SIGTERM and SIGKILL, and between SIGKILL and giving up on what not even that ends.
GRACE, PATIENCE = 5.0, 10.0
#: Seconds until the first look whether they are gone, and between later looks at most.
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.1


class Ending:
    """``find()`` gives those that live; whoever is born meanwhile is found in the next look. ``done()`` ends it."""

    log = Logger()

    def __init__(self, clock: IReactorTime, find: Callable[[], set[int]], done: Callable[[], None]) -> None:
        self._clock = clock
        self._find = find
        self._done = done
        self._asked: set[int] = set()
        self._began = clock.seconds()
        self._wait = _FIRST_LOOK
        self.last_signal = signal.SIGTERM
        self.over = False

    def look(self) -> None:
        """Send what is due to those that live, and look again soon."""
        living = self._find()
        spent = self._clock.seconds() - self._began
        if not living or spent > GRACE + PATIENCE:
            self._finish(living)
        else:
            self._send(living, spent > GRACE)
            self._clock.callLater(self._wait, self.look)
            self._wait = min(2 * self._wait, _LONGEST_LOOK)

    def _send(self, living: set[int], kill: bool) -> None:
        if kill:
            self.last_signal = signal.SIGKILL
            send(living, signal.SIGKILL)
        else:
            send(living - self._asked, signal.SIGTERM)
            send(living - self._asked, signal.SIGCONT)  # a stopped one hears nothing else
            self._asked |= living

    def _finish(self, living: set[int]) -> None:
        if living:
            self.log.error("processes {pids} do not end, not even by SIGKILL", pids=sorted(living))
        self.over = True
        self._done()
