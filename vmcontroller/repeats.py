"""Says a word again, ever more seldom, until it is answered."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

FIRST, LARGEST = 2.0, 30.0

#: Whom it is said to, then what it is.
Key = tuple[str, ...]


class Repeats:
    """Words under way, each under a key. Waits are in seconds: 2, 4, 8, 16, 30, 30, …"""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Key, IDelayedCall] = {}

    def start(self, key: Key, say: Callable[[], None], wait: float = FIRST) -> None:
        """Say it now, and again until ``stop(key)``."""
        self.later(key, say, wait)
        say()

    def later(self, key: Key, say: Callable[[], None], wait: float = FIRST) -> None:
        """It was said just now by other means: say it again after ``wait`` seconds, until ``stop(key)``."""
        self.stop(key)
        self._waiting[key] = self._clock.callLater(wait, self.start, key, say, min(2 * wait, LARGEST))

    def running(self, key: Key) -> bool:
        """It is still to be said again."""
        return key in self._waiting

    def stop(self, key: Key) -> None:
        """It was answered, or is pointless now."""
        call = self._waiting.pop(key, None)
        if call is not None and call.active():
            call.cancel()

    def stop_all(self, to: str | None = None) -> None:
        """Nothing is said any more to this one, or to anybody."""
        for key in [key for key in self._waiting if to in (None, key[0])]:
            self.stop(key)
