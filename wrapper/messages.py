"""What the wrapper says on stderr, line by line, as the BOINC API writes it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable


class Log:
    """``log("text")`` writes one line to stderr: local time and process id before it, line breaks taken out."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def __call__(self, text: str) -> None:
        """Say one line. A stderr that cannot be written (disk full) never stops the job."""
        line = f"{prefix(self._now())} {' '.join(text.splitlines())}"
        try:
            print(printable(line), file=sys.stderr, flush=True)
        except OSError:
            pass


def prefix(now: float) -> str:
    """``2026-01-31 12:00:00 (4711):``, what boinc_msg_prefix gives; ``now`` in seconds since the epoch."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))} ({os.getpid()}):"


def printable(text: str) -> str:
    """The text with octets that are no UTF-8 shown as escapes, so that every stream takes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
