"""Something that happens unless something else happens first."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """Calls ``action`` once ``seconds`` have passed since the last ``start``, unless ``stop`` came before."""

    def __init__(self, clock: IReactorTime, seconds: float, action: Callable[[], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._action = action
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to count, or begin anew."""
        if self._call is not None and self._call.active():
            self._call.reset(self._seconds)
        else:
            self._call = self._clock.callLater(self._seconds, self._action)

    def stop(self) -> None:
        """Count no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
