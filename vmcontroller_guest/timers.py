"""Things that happen later: once, or again and again until they are stopped."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """Calls ``act`` once, some seconds after it was started, unless it is stopped before."""

    def __init__(self, clock: IReactorTime, act: Callable[[], None]) -> None:
        self._clock = clock
        self._act = act
        self._call: IDelayedCall | None = None

    @property
    def running(self) -> bool:
        """It was started, and has neither acted nor been stopped."""
        return self._call is not None

    def start(self, seconds: float) -> None:
        """Act in ``seconds``; an earlier start is void."""
        self.stop()
        self._call = self._clock.callLater(seconds, self._fire)

    def stop(self) -> None:
        """Do not act."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _fire(self) -> None:
        self._call = None
        self._act()


class Repeater:
    """Acts at once, then after ``first`` seconds, then after twice as long each time, at most ``longest``."""

    def __init__(self, clock: IReactorTime, act: Callable[[], None], first: float, longest: float) -> None:
        self._timer = Timer(clock, self._go_on)
        self._act = act
        self._first = first
        self._longest = longest
        self._wait = first

    @property
    def running(self) -> bool:
        """It was started and not stopped."""
        return self._timer.running

    def start(self) -> None:
        """Act now and go on."""
        self._wait = self._first
        self._go_on()

    def stop(self) -> None:
        """Act no more."""
        self._timer.stop()

    def _go_on(self) -> None:
        self._timer.start(self._wait)
        self._wait = min(2 * self._wait, self._longest)
        self._act()
