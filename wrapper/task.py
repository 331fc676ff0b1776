"""A task as the loop sees it, wherever it runs.

WAITING ──start──► RUNNING ──its program ends──────────────► ENDED
                      │ ▲ suspend, resume                      ▲
                      └──stop, or its time is over──► ENDING ──┘

``step`` moves it along and never waits; ``ending`` says how it ended once it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wrapper.boinc import Runtime, Stop
from wrapper.events import Events
from wrapper.options import Options

# Exit codes of the stock wrapper, and after them those of 2009 (docs/reference/wrapper.md).
FAILED = 1
CHILD_FAILED = 195
INIT_FAILED = 206
VM_FAILED = 3
COPY_FAILED = 4
TIMED_OUT = 5


@dataclass(frozen=True)
class Ending:
    """How something ended: 0 or the wrapper's exit code, and a sentence without its full stop."""

    status: int
    text: str

    @property
    def good(self) -> bool:
        """Whether the job goes on after it."""
        return self.status == 0


class Work(Protocol):
    """Something that is done bit by bit."""

    @property
    def ending(self) -> Ending | None:
        """None until it has ended."""

    def step(self) -> None:
        """Do what can be done now. Called at least once a second."""

    def hurry(self) -> None:
        """No more patience: end it soon, whatever it costs."""


class Task(Work, Protocol):
    """Work that can be watched, suspended and stopped. Times are in seconds."""

    @property
    def cpu(self) -> float:
        """CPU time up to now; it never falls."""

    @property
    def counted(self) -> float:
        """How much of ``cpu`` the job's checkpoint held already when this wrapper began."""

    def start(self) -> None:
        """Begin. What goes wrong is told by ``ending``."""

    def suspend(self) -> None:
        """Stop for a while, in memory."""

    def resume(self) -> None:
        """Go on after suspend."""

    def stop(self, how: Stop) -> None:
        """End soon; ``ending`` tells when that is done. A second call changes nothing."""

    def fraction(self) -> float:
        """The part that is done, from 0 to 1."""

    def checkpointed(self) -> bool:
        """Whether it has made a checkpoint since it was last asked."""


@dataclass(frozen=True)
class Place:
    """Where tasks run and whom they tell.

    ``clock`` gives monotonic seconds; ``log`` takes a line for stderr. ``of_2009``: the job uses VMs, so in the command
    lines of its programs on the host words that start with ``./`` are logical names.
    """

    slot: Path
    runtime: Runtime
    options: Options
    clock: Callable[[], float]
    log: Callable[[str], None]
    events: Events
    of_2009: bool = False

    @property
    def has_client(self) -> bool:
        """Whether a BOINC client started this job; without one, somebody tries it out."""
        return bool(self.runtime.init_data.result_name)

    def path(self, name: str) -> Path:
        """Where a logical name leads, as an absolute path."""
        return (self.slot / self.runtime.resolve(name)).absolute()


class Stopwatch:
    """Seconds of running time: what passes while something is suspended does not count."""

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
        self._clock = clock
        self._before = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """What it shows."""
        return self._before + (0.0 if self._since is None else self._clock() - self._since)

    def go(self) -> None:
        """Count from now on."""
        if self._since is None:
            self._since = self._clock()

    def halt(self) -> None:
        """Count no more for a while."""
        self._before, self._since = self.seconds, None
