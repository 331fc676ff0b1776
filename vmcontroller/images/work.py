"""Long work on files: how far it is, and whether it is still wanted."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

#: Hears how many octets are done, and how many there are.
Progress = Callable[[int, int], None]


class Aborted(Exception):
    """Nobody wants the work any more."""


def untold(done: int, total: int) -> None:
    """Progress that nobody hears."""


class Work:
    """One piece of work in several steps, each of so many octets. It may be done in another thread than ``abort``."""

    def __init__(self, progress: Progress = untold) -> None:
        self._progress = progress
        self._aborted = Event()
        self._before = self._step = self._total = 0

    def plan(self, *steps: int) -> None:
        """So many octets are still to be moved, besides those that were."""
        self._total = self._before + self._step + sum(steps)

    def begin(self, octets: int) -> None:
        """The next step begins."""
        self._before += self._step
        self._step = octets
        self.moved(0)

    def moved(self, octets: int) -> None:
        """So many octets of this step are done. Aborted."""
        if self._aborted.is_set():
            raise Aborted
        self._progress(self._before + min(octets, self._step), self._total)

    def abort(self) -> None:
        """Give up: the next ``moved`` raises."""
        self._aborted.set()
