"""Work with the daemon that takes many calls, written from top to bottom and done without waiting.

A generator yields what it waits for: the future of a call, whose result it gets back, or a number of seconds.
Other generators are run with ``yield from``. What the last one returns is the errand's Ending.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

from wrapper.remote import Refused
from wrapper.task import VM_FAILED, Ending

#: Seconds for what is left to do when nobody wants to wait any more.
LAST_PATIENCE = 10.0

T = TypeVar("T")
Steps = Generator["Future[Any] | float", Any, T]


class Errand:
    """Runs such a generator. ``clock`` gives monotonic seconds."""

    def __init__(self, steps: Steps[Ending], clock: Callable[[], float]) -> None:
        self._steps = steps
        self._clock = clock
        self._future: Future[Any] | None = None
        self._until = 0.0
        self._deadline = math.inf
        self.ending: Ending | None = None

    @property
    def is_calling(self) -> bool:
        """Whether a call is under way."""
        return self._future is not None and not self._future.done()

    def step(self) -> None:
        """Go on as far as that is possible now."""
        while self.ending is None and not self.is_calling and self._clock() >= self._until:
            self._go_on()
        if self.ending is None and self._clock() >= self._deadline:
            self.drop()
            self.ending = Ending(VM_FAILED, "the daemon has not answered")

    def _go_on(self) -> None:
        future, self._future = self._future, None
        error = future.exception() if future else None
        try:
            if error:
                wanted = self._steps.throw(error)
            else:
                wanted = self._steps.send(future.result() if future else None)
        except StopIteration as end:
            self.ending = end.value
        except Refused as refusal:
            self.ending = Ending(VM_FAILED, str(refusal))
        else:
            self._wait_for(wanted)

    def _wait_for(self, wanted: Future[Any] | float) -> None:
        if isinstance(wanted, Future):
            self._future = wanted
        else:
            self._until = self._clock() + wanted

    def hurry(self) -> None:
        """Be done soon: what is not by then stays undone."""
        self._deadline = min(self._deadline, self._clock() + LAST_PATIENCE)

    def drop(self) -> None:
        """Go no further; a call that is under way is made to its end, and its result is lost."""
        self._steps.close()
