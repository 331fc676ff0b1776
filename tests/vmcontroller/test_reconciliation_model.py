"""Host and guest over a link that loses, doubles, delays and reorders words, with restarts and roll-backs of both.

The real Controller, Ledger and Outputs on one side, the real Agent and Journal on the other; between them a list of
words under way, from which hypothesis picks what arrives, in any order. Programs are simulated: what they print and
how they end is known, so that every outcome on the host can be held against the truth.
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

from tests.vmcontroller.reconciliation_sides import VM, GuestSide, HostSide, Link
from vmcontroller.commands import OUTCOMES, TRUE_OUTCOMES, State
from vmcontroller.records import Request
from vmcontroller.wire.words import Word

COMMANDS = ("a", "b", "c")
#: Thousands of moments are written down, each with fsync; what a disk would add is tested elsewhere.
_MEMORY = "/dev/shm"


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
