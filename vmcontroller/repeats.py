"""Says a word again, ever more seldom, until it is answered."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

FIRST, LARGEST = 2.0, 30.0


class Repeats:
    """Words under way, each under a key. Waits are in seconds: 2, 4, 8, 16, 30, 30, …"""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, IDelayedCall] = {}

    def start(self, key: Hashable, say: Callable[[], None], wait: float = FIRST) -> None:
        """Say it now, and again until ``stop(key)``."""
        self.later(key, say, wait)
        say()

    def later(self, key: Hashable, say: Callable[[], None], wait: float = FIRST) -> None:
        """It was said just now by other means: say it again after ``wait`` seconds, until ``stop(key)``."""
        self.stop(key)
        self._waiting[key] = self._clock.callLater(wait, self.start, key, say, min(2 * wait, LARGEST))

    def running(self, key: Hashable) -> bool:
        """It is still to be said again."""
        return key in self._waiting

    def stop(self, key: Hashable) -> None:
        """It was answered, or is pointless now."""
        call = self._waiting.pop(key, None)
        if call is not None and call.active():
            call.cancel()

    def stop_all(self) -> None:
        """Nothing is said any more."""
        for key in list(self._waiting):
            self.stop(key)
