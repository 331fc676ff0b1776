"""An executor that a test drives by hand, and a guest around it without network or processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller.wire.keys import welcome_proof
from vmcontroller.wire.words import CmdRun, Hello, Limits, Stdin, Verdict, Welcome, Word
from vmcontroller_guest.agent import Agent
from vmcontroller_guest.identity import Identity
from vmcontroller_guest.interfaces import Ended, Listener, NotStarted, Remains
from vmcontroller_guest.journal import Journal

W = TypeVar("W", bound=Word)

SECRET = "a secret that both sides know"
VM = "vm-1"
_NO_STDIN = Stdin()


def temporary_directory(test: SynchronousTestCase) -> Path:
    """A directory that is gone when the test is over."""
    holder = TemporaryDirectory(prefix="vmc-guest-")
    test.addCleanup(holder.cleanup)
    return Path(holder.name)


class FakeProcess:
    """Records what it is told; ``listener`` is how a test lets it speak."""

    def __init__(self, run: CmdRun, listener: Listener, pid: int) -> None:
        self.run = run
        self.listener = listener
        self.pid = pid
        self.born = f"birth of {pid}"
        self.input = b""
        self.input_closed = False
        self.signals: list[int] = []
        self.paused: set[str] = set()

    def feed(self, data: bytes, eof: bool) -> None:
        self.input += data
        self.input_closed = self.input_closed or eof

    def signal(self, number: int) -> None:
        if number > 64:
            raise ValueError(f"{number} is no signal")
        self.signals.append(number)

    def pause(self, stream: str) -> None:
        self.paused.add(stream)

    def resume(self, stream: str) -> None:
        self.paused.discard(stream)


class FakeExecutor:
    """Starts FakeProcesses; a command named in ``refusals`` cannot be started, for that reason."""

    def __init__(self) -> None:
        self.processes: dict[str, FakeProcess] = {}
        self.refusals: dict[str, str] = {}
        self.live: dict[str, Mapping[str, float]] = {}
        self.ended_remains: list[Remains] = []
        self.survivors: dict[str, int] = {}
        self.starts: list[str] = []

    def start(self, run: CmdRun, listener: Listener) -> FakeProcess:
        self.starts.append(run.cmd_id)
        if run.cmd in self.refusals:
            raise NotStarted(self.refusals[run.cmd])
        self.processes[run.cmd_id] = FakeProcess(run, listener, 1000 + len(self.starts))
        return self.processes[run.cmd_id]

    def resources(self) -> Mapping[str, Mapping[str, float]]:
        return self.live

    def end_remains(self, remains: list[Remains]) -> Mapping[str, int]:
        self.ended_remains = remains
        return {left.cmd_id: self.survivors.get(left.cmd_id, 0) for left in remains}

    def end_all(self, done: Callable[[], None]) -> None:
        done()


class Guest:
    """An agent over a Clock, its journal in ``directory``, with what it said in ``said``.

    Made with the same directory again it is the agent's next life.
    """

    def __init__(self, directory: Path, secret: str = SECRET) -> None:
        self.clock = Clock()
        self.executor = FakeExecutor()
        self.said: list[Word] = []
        self.set_clocks: list[float] = []
        self.journal = Journal(directory)
        self.agent = Agent(
            self.clock,
            self.journal,
            self.executor,
            self.said.append,
            Identity(VM, secret),
            set_clock=self.set_clocks.append,
            wall_clock=lambda: 1000.0,
        )
        self.agent.start()

    def close(self) -> None:
        """Die without a word, as by kill -9."""
        self.journal.close()

    def heard(self, kind: type[W]) -> list[W]:
        """Every word of this kind that was said since the last ``forget``."""
        return [word for word in self.said if isinstance(word, kind)]

    def last(self, kind: type[W]) -> W:
        return self.heard(kind)[-1]

    def forget(self) -> None:
        self.said.clear()

    def welcome(self, session: int, verdicts: Mapping[str, Verdict] | None = None, secret: str = SECRET) -> Welcome:
        """The WELCOME that answers the last HELLO."""
        nonce = self.last(Hello).nonce
        return Welcome(session, nonce, welcome_proof(secret, VM, nonce, session), 5000.0, verdicts or {})

    def join(self, session: int = 1, verdicts: Mapping[str, Verdict] | None = None) -> None:
        """Connect, and be welcomed."""
        self.agent.connected()
        self.agent.hear(self.welcome(session, verdicts))

    def run(self, cmd_id: str, cmd: str = "prog", session: int = 1, stdin: Stdin = _NO_STDIN) -> FakeProcess | None:
        """Hear CMD_RUN; return the process that it led to, if any."""
        self.agent.hear(CmdRun(cmd_id, cmd, session, (VM,), stdin=stdin, limits=Limits()))
        return self.executor.processes.get(cmd_id)


def exited(code: int = 0) -> Ended:
    return Ended("exited", code, resources={"ru_utime": 0.5}, seconds=1.5)


class AgentTestCase(SynchronousTestCase):
    """A test with a guest that has just started."""

    def setUp(self) -> None:
        self.directory = temporary_directory(self)
        self.guest = Guest(self.directory)

    def tearDown(self) -> None:
        self.guest.close()

    def restart(self) -> None:
        """kill -9, and the next life of the agent on the same disk."""
        self.guest.close()
        self.guest = Guest(self.directory)
