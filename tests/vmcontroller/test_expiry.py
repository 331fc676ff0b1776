"""What time brings to an end, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from tests.vmcontroller.doubles import result, results
from tests.vmcontroller.house import House
from vmcontroller.commands import State
from vmcontroller.errors import HypervisorFailed
from vmcontroller.expiry import AT_ONCE, DAY, Expiry
from vmcontroller.machine import Machine
from vmcontroller.wire.words import Pong

KEEP = 30


class Aging(House):
    """A house in which time passes."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.expiry = self.keeping(KEEP)
        self.warned: list[str] = []

    def keeping(self, days: int) -> Expiry:
        """One that keeps results for so long."""
        return Expiry(self.clock, lambda: self.wall, self.ledger, self.controller, self.machines, days)

    def wait(self, seconds: float, expiry: Expiry | None = None) -> None:
        """Time passes, and is looked at."""
        self.clock.advance(seconds)
        self.wall += seconds
        result((expiry or self.expiry).go_round())

    def ended(self, cmd_id: str, vm: str, read: bool = True) -> str:
        """A command that has ended, with output in a file; its id."""
        self.run(cmd_id, vm)
        self.outputs.append(cmd_id, vm, "out", 0, b"kept")
        self.hear(vm, results(cmd_id, b"kept", along=False))
        assert self.state(cmd_id, vm) == State.EXITED
        if read:
            self.ledger.mark_read(cmd_id)
        return cmd_id

    def told(self, event: LogEvent) -> None:
        """Keep what the log warns of."""
        if event["log_level"] >= LogLevel.warn:
            self.warned.append(event["log_format"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Aging]:
    house = Aging(tmp_path)
    globalLogPublisher.addObserver(house.told)
    yield house
    globalLogPublisher.removeObserver(house.told)
    house.close()


class TestResults:
    """A command goes when its results were read long ago, and no other does."""

    def test_defect_07_tables_grow_without_bound(self, house: Aging, tmp_path: Path) -> None:
        """What was read goes when its days are over: from the ledger, and its output from the disk."""
        vm = house.bring_up("vm")
        for n in range(3):
            house.ended(f"c{n}", vm)
        house.wait(KEEP * DAY - 1)
        assert len(house.ledger.command_ids()) == 3
        house.wait(2)
        assert house.ledger.command_ids() == []
        assert house.ledger.parts("c0") == []
        assert list((tmp_path / "cmds").iterdir()) == []
        assert house.warned == ["{vm} is dropped, it has been silent for too long"]

    def test_read_again(self, house: Aging) -> None:
        """The days count from the last time."""
        cmd_id = house.ended("c", house.bring_up("vm"))
        house.wait(20 * DAY)
        house.ledger.mark_read(cmd_id)
        house.wait(20 * DAY)
        assert house.ledger.command_ids() == ["c"]
        house.wait(11 * DAY)
        assert house.ledger.command_ids() == []

    def test_unread(self, house: Aging) -> None:
        """A result that nobody has read waits for whoever it is for."""
        house.ended("c", house.bring_up("vm"), read=False)
        house.wait(1000 * DAY)
        assert house.ledger.finished_unread() == ["c"]

    def test_not_ended(self, house: Aging) -> None:
        """A command that runs stays, whatever was read of it."""
        house.run("c", house.bring_up("vm"))
        house.ledger.mark_read("c")
        house.wait(1000 * DAY)
        assert house.ledger.command_ids() == ["c"]

    def test_held(self, house: Aging) -> None:
        """A command that a snapshot can bring back stays known, until the snapshot goes."""
        vm = house.bring_up("vm")
        house.ended("c", vm)
        house.ledger.hold(vm, "snap", [("c", State.ACCEPTED, 0, 0)])
        house.wait(1000 * DAY)
        assert house.ledger.command_ids() == ["c"]
        house.ledger.release(vm, "snap")
        house.wait(5)
        assert house.ledger.command_ids() == []

    def test_kept_for_ever(self, house: Aging) -> None:
        """With 0 days nothing goes by itself."""
        house.ended("c", house.bring_up("vm"))
        house.wait(1000 * DAY, house.keeping(0))
        assert house.ledger.command_ids() == ["c"]

    def test_many(self, house: Aging) -> None:
        """They go a few at a time, so that nobody has to wait for it."""
        vm = house.bring_up("vm")
        for n in range(AT_ONCE + 1):
            house.ended(f"c{n}", vm)
        house.wait(KEEP * DAY + 1)
        assert len(house.ledger.command_ids()) == 1
        house.wait(1)
        assert house.ledger.command_ids() == []


class TestSilence:
    """A guest that should speak and does not is warned of, then dropped."""

    def test_warned_of_then_dropped(self, house: Aging) -> None:
        """Each once."""
        vm = house.bring_up("vm")
        for _ in range(10):
            house.wait(5)
        assert house.warned == [
            "{vm} has been silent for {grace} s",
            "{vm} is dropped, it has been silent for too long",
        ]
        assert house.controller.guests.get(vm) is None

    @pytest.mark.parametrize("verb", ["pause", "saveState"])
    def test_asleep(self, verb: str, house: Aging) -> None:
        """One whose machine stands still cannot speak: it is no longer alive, and nobody is warned."""
        vm = house.bring_up("vm")
        result(house.machines.plain(vm, verb))
        for _ in range(10):
            house.wait(5)
        assert house.controller.guests.get(vm) is None
        assert house.warned == []

    def test_speaks_while_the_hypervisor_is_asked(self, house: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then it is not silent."""
        vm = house.bring_up("vm")
        asked: Deferred[list[Machine]] = Deferred()
        monkeypatch.setattr(house.hypervisor, "machines", lambda: asked)
        house.clock.advance(60)
        round_ = ensureDeferred(house.expiry.go_round())
        house.hear(vm, Pong("p", "t"))
        asked.callback([])
        result(round_)
        assert house.controller.guests.get(vm) is not None
        assert house.warned == []

    def test_hypervisor_fails(self, house: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is said, and the next round tries again."""
        vm = house.bring_up("vm")
        answers: list[Deferred[list[Machine]]] = [
            fail(ValueError()),
            fail(HypervisorFailed("no")),
            succeed(list(house.hypervisor.vms.values())),
        ]
        monkeypatch.setattr(house.hypervisor, "machines", lambda: answers.pop(0))
        for seconds in (60, 1, 1):
            house.wait(seconds)
        assert house.warned == [
            "what should have come to an end has not",
            "{error}",
            "{vm} is dropped, it has been silent for too long",
        ]
        assert house.controller.guests.get(vm) is None

    def test_gone(self, house: Aging) -> None:
        """One whose machine somebody has removed is not waited for: what it ran is lost."""
        vm = house.bring_up("vm")
        house.run("c", vm)
        house.hypervisor.vms.clear()
        house.wait(60)
        assert house.state("c", vm) == State.LOST
        assert house.ledger.guests() == []


class TestLife:
    """It goes round from its start to its stop."""

    def test_rounds(self, house: Aging) -> None:
        """At every interval, none at once, and none afterwards."""
        vm = house.bring_up("vm")
        house.expiry.start(50)
        house.clock.advance(49)
        assert house.controller.guests.get(vm) is not None
        house.clock.advance(1)
        assert house.controller.guests.get(vm) is None
        result(house.expiry.stop())

    def test_stop_waits(self, house: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is under way comes to its end first."""
        house.bring_up("vm")
        asked: Deferred[list[Machine]] = Deferred()
        monkeypatch.setattr(house.hypervisor, "machines", lambda: asked)
        house.expiry.start(50)
        house.clock.advance(50)
        stopped: list[None] = []
        ensureDeferred(house.expiry.stop()).addCallback(stopped.append)
        assert stopped == []
        asked.callback([])
        assert stopped == [None]

    def test_never_started(self, house: Aging) -> None:
        """A start that failed before it is stopped all the same."""
        result(house.expiry.stop())
