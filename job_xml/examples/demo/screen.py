"""What the demo shows: one line for each phase as it happens, what the program says, and a bar that moves.

Knows a terminal and no wrapper. Colours and the moving bar come only on a terminal; a file gets plain lines.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from typing import TextIO

BAR = 40
WIDTH = 90  # columns of text beside a phase
MARK = f"{'│':>20}"  # in front of what belongs to the phase above
BOLD, FAINT, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
CLEAR = "\r\x1b[K"

#: What to write where the output cannot hold a character.
IN_ASCII = str.maketrans({"±": "+-", "│": "|", "█": "#", "░": "."})


class Screen:
    """Writes to `out`, with the seconds since it was made in front of each phase."""

    def __init__(self, out: TextIO, clock: Callable[[], float]) -> None:
        self._out = out
        self._clock = clock
        self._began = clock()
        self._bar = ""
        self.terminal = out.isatty()
        self.colours = self.terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.unicode = can_encode(out)

    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def line(self, text: str = "") -> None:
        """A line of its own, above the bar if there is one."""
        self._write((CLEAR if self._bar else "") + text + "\n" + self._bar)

    def heading(self, text: str) -> None:
        """A line that begins something."""
        self.line()
        self.line(self._in(BOLD, text))

    def phase(self, name: str, text: str) -> None:
        """Something happened; whatever moved before is over."""
        self.progress(None)
        first, *rest = textwrap.wrap(text, WIDTH) or [""]
        self.line(f"{self.seconds():6.1f} s  {self._in(BOLD, f'{name:<9}')} {first}")
        for line in rest:
            self.line(f"{'':20}{line}")

    def said(self, text: str) -> None:
        """A line that the program in the VM printed."""
        self.line(f"{MARK} {self._in(FAINT, text)}")

    def progress(self, fraction: float | None) -> None:
        """Move the bar; None takes it away."""
        if not self.terminal:
            return
        before, self._bar = self._bar, "" if fraction is None else f"{MARK} {bar(fraction)} {fraction:4.0%}"
        self._write((CLEAR if before else "") + self._bar)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self.colours else text

    def _write(self, text: str) -> None:
        self._out.write(text if self.unicode else text.translate(IN_ASCII).encode("ascii", "replace").decode("ascii"))
        self._out.flush()


def bar(fraction: float, width: int = BAR) -> str:
    """A bar that is full at 1."""
    full = round(min(max(fraction, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def can_encode(out: TextIO) -> bool:
    """Whether the output holds the characters of the plot."""
    try:
        "▁█•±│░".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
