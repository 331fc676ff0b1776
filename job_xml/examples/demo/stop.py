"""Ctrl-C and its relatives: the program that runs is asked to end, and then everything is cleared away as usual.

No exception flies out of a signal handler here, so there is no moment at which a process or a directory is made but
not yet known to whoever must remove it.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ASKING = ("SIGINT", "SIGTERM", "SIGHUP")
#: Seconds that a program gets to end by itself once it is asked to. The wrapper stops its VM in that time.
PATIENCE = 60.0


class Stop:
    """Whether the user asked to stop; runs one program at a time and hands the wish on to it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.asked = False
        self._patience = patience
        self._child: subprocess.Popen[str] | None = None
        self._by = signal.SIGTERM
        self._last_resort: threading.Timer | None = None

    def install(self) -> None:
        """Hear the signals from now on."""
        for name in ASKING:
            signal.signal(getattr(signal, name), self.hear)

    def hear(self, _number: int, _frame: FrameType | None = None) -> None:
        """Note one of them."""
        self.asked = True
        self._ask()

    @contextmanager
    def running(
        self, command: list[str], by: signal.Signals = signal.SIGTERM, **how: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a program out of the terminal's reach; when the block has ended, so has the program.

        ``by`` is the signal that asks it to end.
        """
        self._by = by
        self._child = subprocess.Popen(command, text=True, encoding="utf-8", start_new_session=True, **how)
        if self.asked:
            self._ask()
        try:
            yield self._child
        except BaseException:
            self._ask()
            raise
        finally:
            self._await(self._child)

    def _ask(self) -> None:
        if self._child is None:
            return
        self._child.send_signal(self._by)
        if self._last_resort is None:
            self._last_resort = threading.Timer(self._patience, self._child.kill)
            self._last_resort.start()

    def _await(self, child: subprocess.Popen[str]) -> None:
        for pipe in filter(None, (child.stdout, child.stderr)):
            pipe.close()
        child.wait()
        self._child = None
        if self._last_resort:
            self._last_resort.cancel()
            self._last_resort = None
