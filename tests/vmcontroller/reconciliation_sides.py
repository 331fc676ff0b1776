"""The two sides of the model in test_reconciliation_model.py, and the link between them: all real but the programs.

A live snapshot of a guest is the list of everything that has ever happened to it: the agent is deterministic, so doing
all of that again, unheard, brings the moment back, memory and journal alike.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from vmcontroller.controller import Controller
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.results import Results
from vmcontroller.wire.words import Word, hear, is_void, say
from vmcontroller_guest.agent import Agent
from vmcontroller_guest.identity import Identity
from vmcontroller_guest.interfaces import Ended
from vmcontroller_guest.journal import Journal

VM, SECRET = "vm-1", "s" * 64
GROUP = "default"


class Link:
    """Words under way in one direction, each with the session that it was said in."""

    def __init__(self) -> None:
        self.under_way: list[tuple[Word, int]] = []

    def say(self, word: Word, session: int) -> None:
        """Through the codec, as on the wire."""
        self.under_way.append((hear(*say(word)), session))


class HostSide:
    """The host, whose memory can be lost at any moment; its disk stays."""

    def __init__(self, root: Path, link: Link) -> None:
        self._root = root
        self._link = link
        self._open()
        self.ledger.add_guest(VM, "vm", GROUP, SECRET, "")

    def _open(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self._root / "ledger")
        self.outputs = Outputs(self._root / "cmds", lambda function, *a: succeed(function(*a)))
        self.controller = Controller(self.clock, lambda: 0.0, self.ledger, self.outputs, self)
        self.results = Results(self.ledger, self.outputs, self.controller.guests)

    def say(self, vm: str, word: Word, session: int) -> None:
        self._link.say(word, session)

    def say_all(self, group: str, word: Word) -> None:
        self._link.say(word, 0)

    def close(self) -> None:
        self.controller.close()
        self.outputs.close()
        self.ledger.close()

    def restart(self) -> None:
        self.close()
        self._open()


class Program:
    """A running program that does what the test says."""

    pid, born = 0, ""

    def __init__(self, listener: Any) -> None:
        self.listener = listener
        self.printed = b""
        self.killed = False

    def feed(self, data: bytes, eof: bool) -> None: ...

    def signal(self, number: int) -> None: ...

    def pause(self, stream: str) -> None: ...

    def resume(self, stream: str) -> None: ...


class Programs:
    """The executor of the agent under test."""

    def __init__(self) -> None:
        self.running: dict[str, Program] = {}
        self.starts: list[str] = []

    def start(self, run: Any, listener: Any) -> Program:
        assert run.cmd_id not in self.starts, f"{run.cmd_id} was started twice in one life of a disk"
        self.starts.append(run.cmd_id)
        self.running[run.cmd_id] = Program(listener)
        return self.running[run.cmd_id]

    def resources(self) -> dict[str, dict[str, float]]:
        return {}

    def end_remains(self, remains: Any) -> dict[str, int]:
        return {left.cmd_id: 0 for left in remains}

    def end_all(self, done: Any) -> None:
        done()


class GuestSide:
    """The guest: agent, journal and programs, all of it the outcome of ``history``."""

    def __init__(self, root: Path, link: Link) -> None:
        self._root = root
        self._link = link
        self._disks = 0
        self.journal: Journal | None = None
        self.new_disk()

    def new_disk(self) -> None:
        """A machine with an empty disk. Its journal's first moment is kept, for going back to it."""
        self._close()
        self._disks += 1
        self._template = self._root / f"disk{self._disks}"
        Journal(self._template).close()
        self.live_again(())

    def live_again(self, history: tuple[Any, ...]) -> None:
        """Be what this history made of a new disk; nobody hears what is said on the way."""
        self._close()
        self._path = self._root / "disk"
        shutil.rmtree(self._path, ignore_errors=True)
        shutil.copytree(self._template, self._path)
        self.programs = Programs()
        self.history: tuple[Any, ...] = ()
        self.wired = False
        self._nonces = 0
        self._heard = False
        self._boot()
        for event in history:
            self.do(*event)
        # It may believe to be connected, as it was then; but the other end of that connection is no more.
        self.wired = False
        self._heard = True

    def _close(self) -> None:
        if self.journal is not None:
            self.journal.close()

    def _boot(self) -> None:
        self.clock = Clock()
        self.journal = Journal(self._path)
        self.connected = False
        self.agent = Agent(
            self.clock,
            self.journal,
            self.programs,
            self._say,
            Identity(VM, SECRET),
            wall_clock=lambda: 0.0,
            new_nonce=self._nonce,
        )
        self.agent.start()

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._template.name}.{self._nonces}"

    def _say(self, word: Word) -> None:
        if self._heard and self.wired:
            assert self.journal is not None
            self._link.say(word, self.journal.session)

    def do(self, event: str, *arguments: Any) -> None:
        """Something happens to the guest."""
        self.history = (*self.history, (event, *arguments))
        getattr(self, f"_{event}")(*arguments)

    def _connect(self) -> None:
        self.connected = self.wired = True
        self.agent.connected()

    def _disconnect(self) -> None:
        self.connected = self.wired = False
        self.agent.disconnected()

    def _hear(self, word: Word, session: int) -> None:
        assert self.journal is not None
        if not is_void(word, session, self.journal.session):
            self.agent.hear(word)

    def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _print(self, cmd_id: str, data: bytes) -> None:
        program = self.programs.running[cmd_id]
        program.printed += data
        program.listener.output("out", data)

    def _exit(self, cmd_id: str, code: int) -> None:
        self.programs.running.pop(cmd_id).listener.ended(Ended("exited", code))

    def _kill(self) -> None:
        """kill -9 of the agent, and its service manager starts it again."""
        assert self.journal is not None
        self.journal.close()
        self.programs.running.clear()
        self.wired = False
        self._boot()
