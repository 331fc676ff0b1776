"""The agent as a process: its settings, its log, its clock, its beginning and its end."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

from vmcontroller.errors import VMControllerError
from vmcontroller_guest.config import load
from vmcontroller_guest.exits import adopt_orphans
from vmcontroller_guest.service import GuestService

#: Octets after which the log goes on in a new file; one older file is kept.
_LOG_SIZE = 1_000_000


def run(reactor: Any, arguments: Sequence[str]) -> None:
    """Start, and return when the agent has been stopped; SystemExit with a sentence if it cannot start."""
    # Twisted reads the wall clock, which WELCOME may set: every timer would fire at once, or never.
    reactor.seconds = time.monotonic
    try:
        settings = load(arguments)
        service = GuestService(reactor, settings)
        service.start()
        adopt_orphans()
    except (VMControllerError, ImportError) as error:
        sys.exit(f"vmcontroller-guest: {error}")
    _log_to(settings.state)
    _keep_memory_small()
    reactor.addSystemEventTrigger("before", "shutdown", service.stop)
    reactor.run()


def _keep_memory_small() -> None:
    """Never look again at what was imported, so that looking at the rest is cheap; then do it often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 5, 1)


def _log_to(directory: Path) -> None:
    """Write what happens to agent.log, from the beginning on, and to the terminal or the machine's console."""
    file = LogFile("agent.log", str(directory), rotateLength=_LOG_SIZE, maxRotatedFiles=1)
    places = [cast(IO[Any], file), *([sys.stdout] if sys.stdout.isatty() else [])]
    enough = LogLevelFilterPredicate(LogLevel.info)
    observers = [FilteringLogObserver(textFileLogObserver(place), [enough]) for place in places]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
