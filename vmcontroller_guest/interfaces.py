"""What the agent asks of whoever runs its commands, and what it is told in return.

The agent knows these shapes only. The real executor (executor.py) needs Unix; a test may drive another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vmcontroller.wire.words import CmdRun


class NotStarted(Exception):
    """The command cannot be started; the text is one sentence that says why."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: the fields of CMD_RESULTS that its processes decide. ``seconds`` is monotonic time."""

    outcome: str
    exit_code_or_signal: int = -1
    reason: str = ""
    left: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Listener(Protocol):
    """Who is told what a command does. Nothing is told before ``Executor.start`` has returned."""

    def output(self, stream: str, data: bytes) -> None:
        """The program wrote octets to ``out`` or ``err``."""

    def consumed(self, count: int) -> None:
        """The program's pipe took this many octets of the input, or will never take them."""

    def ended(self, end: Ended) -> None:
        """The command has ended and nothing else will be told."""


class Process(Protocol):
    """A command that runs. ``pid`` and ``born`` together name its first process, and no other ever."""

    pid: int
    born: str

    def feed(self, data: bytes, eof: bool) -> None:
        """Give it input; ``eof`` closes its input behind these octets."""

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes. ValueError when the system knows no such signal."""

    def pause(self, stream: str) -> None:
        """Stop reading a stream; the program waits once its pipe is full."""

    def resume(self, stream: str) -> None:
        """Read the stream again."""


@dataclass(frozen=True)
class Remains:
    """What the journal knows of a command whose agent died: its first process, pid 0 where none was started."""

    cmd_id: str
    pid: int = 0
    born: str = ""


class Executor(Protocol):
    """Starts commands."""

    def start(self, run: CmdRun, listener: Listener) -> Process:
        """Start a command. NotStarted when it cannot be."""

    def resources(self) -> Mapping[str, Mapping[str, float]]:
        """What each running command uses now, by cmd-id: RU_FIELDS and ``processes``."""

    def end_remains(self, remains: list[Remains]) -> Mapping[str, int]:
        """End what an agent that died has left running; return how many processes each command had left.

        Returns when they are gone.
        """

    def end_all(self, done: Callable[[], None]) -> None:
        """End every command's processes; call ``done`` when they are gone. Listeners are told no end."""
