"""Tasks in a VM that are suspended, put away or given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot
from tests.wrapper.jobs import another, task
from tests.wrapper.scripted_daemon import Command, ScriptedDaemon
from wrapper.boinc import Stop
from wrapper.vm_task import MOST_FRUITLESS


def test_suspend_pauses_the_vm(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Nothing is asked of it until it is resumed; the lease is renewed all the while, and its time stands still."""
    slot.job(task())
    daemon.program = lambda command: command.end() if daemon.methods().count("resume") else None
    polls, times = [], set()

    def drive() -> None:
        paused = "Paused" in daemon.vms.values()
        polls.append(paused)
        if paused:
            times.add(rig.loop.running.seconds)
        rig.client.wish(suspended=bool(daemon.commands) and polls.count(True) < 15)

    rig.client.hook = drive
    assert rig.run().good
    names = [call[0] for call in daemon.calls]
    between = names[names.index("pause") + 1 : names.index("resume")]
    assert set(between) == {"renewLease"}
    assert len(times) == 1


@pytest.mark.parametrize("look", [1, 3])
def test_quit_saves_and_the_next_wrapper_goes_on(
    slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path, look: int
) -> None:
    """The VM is saved; the next wrapper finds the same command, copies nothing in, and goes on in the output."""
    slot.job(task())

    def program(command: Command) -> None:
        command.output["out"] += f"{command.looks} ".encode()
        if command.looks == look:
            rig.client.wish(stop=Stop.QUIT)
        if command.looks == 6:
            command.end()

    daemon.program = program
    rig.run()
    assert rig.loop.stopped is Stop.QUIT
    assert list(daemon.vms.values()) == ["Saved"]
    assert daemon.leases == {}
    first = list(daemon.commands)
    daemon.calls.clear()
    assert another(slot, tmp_path).run().good
    assert slot.read("out") == "1 2 3 4 5 6 "
    assert first == [call[1] for call in daemon.calls if call[0] == "getCmdDetails"][:1]
    assert not {"createVM", "startTransfer", "runCmd"} & set(daemon.methods())
    assert daemon.methods()[:3] == ["openLease", "leaseVM", "start"]
    assert daemon.vms == {}


def test_to_be_put_away_counts_as_no_loss(slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path) -> None:
    """A hypervisor that saves no programs loses one each time that the computer is switched off; the job goes on."""
    slot.job(task())

    def put_away(command: Command) -> None:
        rig.client.wish(stop=Stop.QUIT)

    for _ in range(MOST_FRUITLESS + 1):
        daemon.program = put_away
        rig.run()
        assert rig.loop.stopped is Stop.QUIT
        for command in daemon.commands.values():
            command.end("lost", -1, "its agent was stopped")
        rig = another(slot, tmp_path)
    daemon.program = lambda command: command.end()
    assert rig.run().good


def test_a_loss_after_it_ran_again_counts(slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path) -> None:
    """Only the first one after the VM was put away is nobody's fault."""
    slot.job(task())
    daemon.program = lambda command: rig.client.wish(stop=Stop.QUIT)
    rig.run()
    looks = daemon.only().looks + 2  # those that find out whether it runs
    daemon.program = lambda command: command.end("lost", -1, "the agent was killed") if command.looks > looks else None
    ending = another(slot, tmp_path).run()
    assert (ending.status, "10 times in a row" in ending.text) == (195, True)
    assert daemon.methods().count("runCmd") == MOST_FRUITLESS


@pytest.mark.parametrize("method", ["openLease", "createVM", "start", "startTransfer", "runCmd", "waitForCmd"])
def test_abort_at_any_moment_leaves_nothing(slot: Slot, daemon: ScriptedDaemon, rig: Rig, method: str) -> None:
    """Whatever call was under way, its VM, commands and lease are gone in the end."""
    slot.job(task())
    daemon.program = lambda command: None

    def before(called: str, *arguments: object) -> None:
        if called == method:
            rig.client.wish(stop=Stop.ABORT)

    daemon.before = before
    rig.run()
    assert (daemon.vms, daemon.commands, daemon.leases) == ({}, {}, {})
    assert [path.name for path in slot.path.glob("wrapper_vm*")] == []


def test_no_phase_begins_after_an_abort(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The answer to the call that was under way is the last that is waited for, not the second."""
    slot.job(task())
    daemon.before = lambda called, *_: rig.client.wish(stop=Stop.ABORT) if called == "createVM" else None
    rig.run()
    assert "start" not in daemon.methods()
    assert rig.phases()[-2:] == ["create", "cleanUp"]
