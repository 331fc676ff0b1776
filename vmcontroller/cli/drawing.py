"""The line on a terminal that is drawn over and over while something goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vmcontroller.cli.progress import Progress
from vmcontroller.cli.session import Session

#: Draws the name of what goes on, and how many of how many octets are done.
Draw = Callable[[str, int, int], None]


@contextmanager
def progress_line(session: Session) -> Iterator[Draw | None]:
    """What draws the line on stderr; None where nobody would see it."""
    if session.arguments.json or not session.err.isatty():
        yield None
        return
    progress, end = Progress(), ""

    def draw(name: str, done: int, total: int) -> None:
        nonlocal end
        width, end = shutil.get_terminal_size().columns, "\n"
        line = progress.line(name, time.monotonic(), done, total, width)
        print(f"\r{line.ljust(width - 1)}", end="", file=session.err, flush=True)

    try:
        yield draw
    finally:
        print(end=end, file=session.err, flush=True)
