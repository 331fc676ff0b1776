"""Host and guest over a link that loses, doubles, delays and reorders words, with restarts and roll-backs of both.

The real Controller, Ledger and Outputs on one side, the real Agent and Journal on the other; between them a list of
words under way, from which hypothesis picks what arrives, in any order. Programs are simulated: what they print and
how they end is known, so that every outcome on the host can be held against the truth.

A live snapshot of a guest is the list of everything that has ever happened to it: the agent is deterministic, so doing
all of that again, unheard, brings the moment back, memory and journal alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from vmcontroller.commands import OUTCOMES, TRUE_OUTCOMES, State
from vmcontroller.controller import Controller
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.records import Request
from vmcontroller.results import Results
from vmcontroller.wire.words import Word, hear, is_void, say
from vmcontroller_guest.agent import Agent
from vmcontroller_guest.identity import Identity
from vmcontroller_guest.interfaces import Ended
from vmcontroller_guest.journal import Journal

VM, SECRET = "vm-1", "s" * 64
GROUP = "default"
COMMANDS = ("a", "b", "c")
#: Thousands of moments are written down, each with fsync; what a disk would add is tested elsewhere.
_MEMORY = "/dev/shm"


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


class Reconciliation(RuleBasedStateMachine):
    """The rules hypothesis plays with. ``truths`` is all that ever really happened: how each program ended."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="reconciliation-", dir=_MEMORY if os.path.isdir(_MEMORY) else None))
        self.to_guest, self.to_host = Link(), Link()
        self.host = HostSide(self.root, self.to_guest)
        self.guest = GuestSide(self.root, self.to_host)
        self.truths: set[tuple[str, int, bytes]] = set()
        self.snapshots: list[tuple[tuple[Any, ...], Path]] = []
        self.token = 0
        self.first: dict[str, Any] = {}

    def teardown(self) -> None:
        self.host.close()
        self.guest._close()
        shutil.rmtree(self.root)

    # -- the link

    @precondition(lambda self: not self.guest.connected)
    @rule()
    def connect(self) -> None:
        self.guest.do("connect")

    @precondition(lambda self: self.guest.connected)
    @rule()
    def disconnect(self) -> None:
        """What is under way stays so: an external broker may deliver it to the next connection."""
        self.guest.do("disconnect")

    @precondition(lambda self: self.guest.wired and self.to_guest.under_way)
    @rule(data=st.data(), again=st.sampled_from([False, False, False, True]))
    def deliver_to_guest(self, data: st.DataObject, again: bool) -> None:
        self.guest.do("hear", *self._take(self.to_guest, data, again))

    @precondition(lambda self: self.to_host.under_way)
    @rule(data=st.data(), again=st.sampled_from([False, False, False, True]))
    def deliver_to_host(self, data: st.DataObject, again: bool) -> None:
        word, session = self._take(self.to_host, data, again)
        self.host.controller.heard(VM, word, session)

    def _take(self, link: Link, data: st.DataObject, again: bool) -> tuple[Word, int]:
        index = data.draw(st.integers(0, len(link.under_way) - 1))
        return link.under_way[index] if again else link.under_way.pop(index)

    @precondition(lambda self: self.to_guest.under_way)
    @rule(data=st.data())
    def lose_to_guest(self, data: st.DataObject) -> None:
        self._take(self.to_guest, data, False)

    @precondition(lambda self: self.to_host.under_way)
    @rule(data=st.data())
    def lose_to_host(self, data: st.DataObject) -> None:
        self._take(self.to_host, data, False)

    @rule(seconds=st.sampled_from([0.02, 1.0, 6.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.host.clock.advance(seconds)
        self.guest.do("pass", seconds)

    # -- commands and programs

    @rule(cmd_id=st.sampled_from(COMMANDS), replay=st.booleans())
    def run(self, cmd_id: str, replay: bool) -> None:
        if self.host.ledger.command(cmd_id) is None:
            self.host.controller.run(cmd_id, Request(VM, "/bin/x", replay=replay), {VM: "vm"})

    @precondition(lambda self: self.host.ledger.open_parts(VM))
    @rule(data=st.data())
    def signal(self, data: st.DataObject) -> None:
        """A signal that nobody heeds."""
        part = data.draw(st.sampled_from(self.host.ledger.open_parts(VM)))
        self.host.controller.signal(part.cmd_id, 15, [part])

    @precondition(lambda self: self.guest.programs.running)
    @rule(data=st.data(), times=st.sampled_from([1, 1, 1, 30_000]))
    def program_prints(self, data: st.DataObject, times: int) -> None:
        """Every octet is told apart from every other, in whatever branch of time it is printed."""
        cmd_id = data.draw(st.sampled_from(sorted(self.guest.programs.running)))
        self.token += 1
        self.guest.do("print", cmd_id, f"{self.token};".encode() * times)

    @precondition(lambda self: self.guest.programs.running)
    @rule(data=st.data(), code=st.integers(0, 3))
    def program_exits(self, data: st.DataObject, code: int) -> None:
        cmd_id = data.draw(st.sampled_from(sorted(self.guest.programs.running)))
        self.truths.add((cmd_id, code, self.guest.programs.running[cmd_id].printed))
        self.guest.do("exit", cmd_id, code)

    # -- disasters

    @rule()
    def kill_agent(self) -> None:
        self.guest.do("kill")

    @rule()
    def restart_host(self) -> None:
        self.host.restart()

    @rule()
    def lose_disk(self) -> None:
        self.guest.new_disk()

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def take_snapshot(self) -> None:
        self.host.ledger.hold(VM, str(len(self.snapshots)), self.host.controller.holding(VM))
        self.snapshots.append((self.guest.history, self.guest._template))
        self.host.controller.ask_who(VM)

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def restore_snapshot(self, data: st.DataObject) -> None:
        history, self.guest._template = data.draw(st.sampled_from(self.snapshots), label="snapshot")
        self.host.controller.restored(VM)
        self.guest.live_again(history)

    # -- what must hold

    @invariant()
    def outcomes_are_true(self) -> None:
        for cmd_id in self.host.ledger.command_ids():
            part = self.host.ledger.part(cmd_id, VM)
            assert part is not None
            if part.state is State.EXITED:
                told = (cmd_id, part.result["exitCodeOrSignal"], self.host.results.output(part, "out", 0, 1 << 30))
                assert told in self.truths, f"{told[:2]} with {told[2][:80]!r} never happened"
                assert "not what the guest sent" not in part.result["reason"]

    @invariant()
    def first_outcome_stands(self) -> None:
        for cmd_id in self.host.ledger.command_ids():
            part = self.host.ledger.part(cmd_id, VM)
            assert part is not None
            if part.state in TRUE_OUTCOMES:
                assert self.first.setdefault(cmd_id, part) == part

    def settle(self) -> None:
        """With a link that loses nothing for a while, everything comes to its end."""
        for cmd_id, program in list(self.guest.programs.running.items()):
            self.truths.add((cmd_id, 0, program.printed))
            self.guest.do("exit", cmd_id, 0)
        if self.guest.connected and not self.guest.wired:
            self.guest.do("disconnect")
        if not self.guest.connected:
            self.guest.do("connect")
        for _ in range(40):
            self._exchange()
            self.time_passes(6.0)
            for cmd_id in list(self.guest.programs.running):
                self.truths.add((cmd_id, 0, b""))
                self.guest.do("exit", cmd_id, 0)

    def _exchange(self) -> None:
        while self.to_guest.under_way or self.to_host.under_way:
            if self.to_guest.under_way:
                self.guest.do("hear", *self.to_guest.under_way.pop(0))
            if self.to_host.under_way:
                word, session = self.to_host.under_way.pop(0)
                self.host.controller.heard(VM, word, session)

    @rule()
    def everything_ends(self) -> None:
        """No command stays without an outcome once the two can talk, and the guest keeps nothing but tombstones."""
        self.settle()
        for cmd_id in self.host.ledger.command_ids():
            part = self.host.ledger.part(cmd_id, VM)
            assert part is not None
            assert part.state in OUTCOMES, f"{cmd_id} stays {part.state}"
        assert self.guest.journal is not None
        assert self.guest.journal.living() == []
        assert self.host.ledger.signals(VM) == []
        self.outcomes_are_true()


Reconciliation.TestCase.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestReconciliation = Reconciliation.TestCase
