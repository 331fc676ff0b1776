"""What happens, as it happens: a line of JSON for programs, a line of text for people.

An event is ``{"time": seconds since the epoch, "phase": …, "text": …}`` and what else belongs to it
(docs/reference/wrapper.md lists phases and fields). Losing a reader never costs the job anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TextIO

from wrapper.messages import printable


class Events:
    """Hands each event on. ``stream`` takes JSON, ``console`` text, or is None; ``log`` all but progress."""

    def __init__(
        self,
        log: Callable[[str], None],
        stream: TextIO | None = None,
        console: TextIO | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._stream = stream
        self._console = console
        self._now = now

    def say(self, phase: str, text: str, **more: Any) -> None:
        """One thing has happened, or begins."""
        if phase != "progress":
            self._log(text)
            self._console = _write(self._console, printable(text))
        event = {"time": round(self._now(), 3), "phase": phase, "text": text, **more}
        self._stream = _write(self._stream, json.dumps(event))


def _write(stream: TextIO | None, line: str) -> TextIO | None:
    if stream is None:
        return None
    try:
        stream.write(line + "\n")
        stream.flush()
    except (OSError, ValueError):
        return None
    return stream
