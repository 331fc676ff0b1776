"""What wakes the loop between two ticks: an answer from the daemon, a child's end, a signal."""

from __future__ import annotations

import queue
import signal
from types import FrameType

#: Signals that ask a standalone wrapper to end, as far as the platform has them.
ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Bell:
    """Rung from any thread and from signal handlers, heard by the loop."""

    def __init__(self) -> None:
        # SimpleQueue.put is safe inside a signal handler; an Event's lock is not.
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self, *_: object) -> None:
        """Wake who waits now, or else who waits next."""
        self._rings.put(None)

    def wait(self, seconds: float) -> None:
        """Come back when it rings, at the latest after ``seconds``."""
        try:
            self._rings.get(timeout=max(seconds, 0.0))
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            pass


class Interrupts:
    """Counts the signals that ask the wrapper to end: the first asks, the second insists."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.signal = 0
        self.count = 0

    def install(self) -> None:
        """Hear them from now on, and let the end of a child ring the bell."""
        for number in ASKING:
            signal.signal(number, self.hear)
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, self._bell.ring)

    def hear(self, number: int, _frame: FrameType | None = None) -> None:
        """Note one of them."""
        self.signal = self.signal or number
        self.count += 1
        self._bell.ring()
