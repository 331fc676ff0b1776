"""Lets a caller wait, with a deadline, for something that is announced under a key."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Waiters:
    """Deferreds that fire with True on ``notify(key)`` and with False when their time is up."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, list[Deferred[bool]]] = {}
        self._closed = False

    async def until(self, key: Hashable, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``condition()`` holds, looked at now and after each ``notify(key)``; False after ``timeout`` s."""
        deadline = self._clock.seconds() + timeout
        while not condition():
            left = deadline - self._clock.seconds()
            if self._closed or left <= 0 or not await self._next(key, left):
                return condition()
        return True

    def _next(self, key: Hashable, timeout: float) -> Deferred[bool]:
        waiter: Deferred[bool] = Deferred()
        self._waiting.setdefault(key, []).append(waiter)
        late = self._clock.callLater(timeout, self._give_up, key, waiter)

        def tidy(result: bool) -> bool:
            if late.active():
                late.cancel()
            return result

        return waiter.addBoth(tidy)

    def _give_up(self, key: Hashable, waiter: Deferred[bool]) -> None:
        self._waiting[key].remove(waiter)
        if not self._waiting[key]:
            del self._waiting[key]
        waiter.callback(False)

    def notify(self, key: Hashable) -> None:
        """Something changed under this key."""
        for waiter in self._waiting.pop(key, []):
            waiter.callback(True)

    def close(self) -> None:
        """The daemon is about to stop: nobody waits any longer."""
        self._closed = True
        for key in list(self._waiting):
            self.notify(key)
