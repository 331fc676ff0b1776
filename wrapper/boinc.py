"""The BOINC runtime: how an application hears its client's wishes and says how it is doing.

``Runtime`` is what the wrapper needs of it. ``Standalone`` is the runtime without a client: signals take the place
of the client's messages, the files and the exit code are the same. Nothing here knows tasks or job.xml.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from wrapper import initdata, slot
from wrapper.bell import Interrupts
from wrapper.files import write_whole
from wrapper.initdata import InitData

STDERR_FILE = "stderr.txt"
FINISH_FILE = "boinc_finish_called"
TEMPORARY_EXIT_FILE = "boinc_temporary_exit"

#: Seconds to wait for a wrapper that is about to leave the slot, and to stay away when it does not.
LOCK_PATIENCE = 35
LOCK_RETRY_DELAY = 600


class Stop(Enum):
    """Why the wrapper must go: ``QUIT`` keeps all that is needed to go on later, ``ABORT`` leaves nothing."""

    QUIT = "quit"
    ABORT = "abort"


@dataclass(frozen=True)
class Wishes:
    """What the client wants now. ``hurry``: it will not wait for anybody's grace."""

    suspended: bool = False
    stop: Stop | None = None
    hurry: bool = False


class Runtime(Protocol):
    """One job's side of the BOINC runtime. The status that a method returns is the wrapper's exit code."""

    @property
    def init_data(self) -> InitData:
        """What the client said of the job; read once, at the start."""

    def take_slot(self) -> bool:
        """Make the slot ours. False when another wrapper keeps it, or a signal came meanwhile."""

    def begin(self) -> None:
        """From now on stderr goes to stderr.txt."""

    def poll(self) -> Wishes:
        """What the client wants now."""

    def report(self, cpu: float, checkpoint_cpu: float, fraction: float) -> None:
        """CPU seconds so far, those at the last checkpoint, and the part that is done, from 0 to 1."""

    def finish(self, status: int, message: str = "", notice: bool = False) -> int:
        """The job is over; the client shows ``message``, as a notice to the user if ``notice``."""

    def temporary_exit(self, delay: int, reason: str, notice: bool = False) -> int:
        """Leave, to be started again after ``delay`` seconds. Without a reason the client would not wait."""

    def leave(self) -> int:
        """Go as the client, or a signal, asked: the job is not over."""

    def resolve(self, name: str) -> str:
        """The path behind a logical name, relative to the slot."""


class Standalone:
    """The runtime of a wrapper that no client started.

    ``wait`` waits the given seconds or until something happens; ``say`` writes a line to stderr.
    """

    def __init__(
        self, where: Path, interrupts: Interrupts, wait: Callable[[float], None], say: Callable[[str], None]
    ) -> None:
        self._slot = where
        self._interrupts = interrupts
        self._wait = wait
        self._say = say
        self._lock = slot.SlotLock(where)
        self._init_data = initdata.read(where)

    @property
    def init_data(self) -> InitData:
        return self._init_data or InitData()

    def take_slot(self) -> bool:
        return self._lock.take() or self._wait_for_lock()

    def begin(self) -> None:
        (self._slot / TEMPORARY_EXIT_FILE).unlink(missing_ok=True)
        redirect_stderr(self._slot / STDERR_FILE)
        self._say("Can't open init data file - running in standalone mode")

    def _wait_for_lock(self) -> bool:
        self._say("another wrapper runs in this directory; waiting for its end")
        for _ in range(LOCK_PATIENCE):
            self._wait(1.0)
            if self._interrupts.count:
                return False
            if self._lock.take():
                return True
        return False

    def poll(self) -> Wishes:
        """Ctrl-C is whoever wants none of it any more; all else is a computer or a session that ends."""
        first, count = self._interrupts.signal, self._interrupts.count
        stop = Stop.ABORT if first == signal.SIGINT else Stop.QUIT
        return Wishes(stop=stop if count else None, hurry=count > 1)

    def report(self, cpu: float, checkpoint_cpu: float, fraction: float) -> None:
        """Nobody listens."""

    def finish(self, status: int, message: str = "", notice: bool = False) -> int:
        self._say(f"called boinc_finish({status})")
        text = f"{message}\n{'notice' if notice else ''}\n" if message else ""
        self._leave_word(FINISH_FILE, f"{status}\n{text}")
        return status & 255

    def temporary_exit(self, delay: int, reason: str, notice: bool = False) -> int:
        self._say(f"called boinc_temporary_exit({delay}): {reason}")
        word = "notice\n" if notice else ""
        self._leave_word(TEMPORARY_EXIT_FILE, f"{delay}\n{reason}\n{word}")
        return 0

    def _leave_word(self, file: str, text: str) -> None:
        try:
            write_whole(self._slot / file, text)
        except OSError as error:
            self._say(f"{file} could not be written: {error}")
        self._lock.release()

    def leave(self) -> int:
        self._lock.release()
        return 128 + (self._interrupts.signal or signal.SIGTERM)

    def resolve(self, name: str) -> str:
        return slot.resolve(self._slot, name)


def redirect_stderr(path: Path) -> None:
    """Let stderr, and that of every program started later, be appended to a file, as the BOINC API does. OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o664)
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.close(descriptor)
