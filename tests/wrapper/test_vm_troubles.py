"""Tasks in a VM: what goes wrong, and how it is mended."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot, hurried_clock, wait_for
from tests.wrapper.jobs import another, task
from tests.wrapper.scripted_daemon import Command, ScriptedDaemon, refuse, serving
from wrapper.boinc import Stop
from wrapper.remote import Code


def test_a_lost_command_is_run_again(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """With another id, its output from the start, and the files that are in the VM already copied once more."""
    slot.job(task())

    def program(command: Command) -> None:
        command.output["out"] += b"line\n"
        command.end("lost" if len(daemon.commands) < 3 else "exited")

    daemon.program = program
    assert rig.run().good
    ids = [call[-1]["cmdId"] for call in daemon.calls if call[0] == "runCmd"]
    assert [one.rpartition("-")[2] for one in ids] == ["0", "1", "2"]
    assert slot.read("out") == "line\n"
    assert rig.phases().count("lost") == 2


def test_losses_without_progress_end_the_job(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Ten in a row; while the program comes further each time, it goes on."""
    slot.job(task())

    def program(command: Command) -> None:
        attempts = len(daemon.commands)
        command.cpu = min(attempts, 5) * 10.0
        command.end("lost", -1, "the agent was killed")

    daemon.program = program
    ending = rig.run()
    assert (ending.status, "10 times in a row" in ending.text) == (195, True)
    assert daemon.methods().count("runCmd") == 15
    assert "the agent was killed" in ending.text


def checkpointing(rig: Rig, daemon: ScriptedDaemon, lose_at: int, end_at: int) -> None:
    """A program that writes its looks, is lost once after a snapshot was taken, and ends later."""

    def program(command: Command) -> None:
        lost_before = daemon.methods().count("restoreSnapshot")
        command.output["out"] += f"{command.looks} ".encode()
        command.cpu += 1.0
        if daemon.snapshots and not lost_before and sum(map(len, daemon.snapshots.values())) >= 1:
            if command.looks >= lose_at:
                command.end("lost", -1)
        elif command.looks >= end_at and lost_before:
            command.end()

    daemon.program = program


def test_back_to_a_snapshot_that_holds_the_disk(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The program begins anew on the restored disk; its output follows on what was there by then."""
    slot.job(task("<checkpoint_interval>2</checkpoint_interval><checkpoint_filename>cp</checkpoint_filename>"))
    taken: list[str] = []

    def before(method: str, *arguments: object) -> None:
        if method == "takeSnapshot" and not taken:
            taken.append(slot.read("out"))

    def program(command: Command) -> None:
        command.cpu += 1.0
        command.output["out"] += f"{command.looks} ".encode()
        again = len(daemon.commands) == 2
        if taken and not again:
            command.end("lost", -1)
        elif again:
            command.output["out"] = b"again"
            command.end()

    daemon.before, daemon.program = before, program
    assert rig.run().good
    assert slot.read("out") == taken[0] + "again"
    restored = next(call for call in daemon.calls if call[0] == "restoreSnapshot")
    assert restored[2].startswith("cp-0-")
    assert rig.job_run.checkpoint.cpu > 1.0
    cpus = [cpu for cpu, _, _ in rig.client.reports]
    assert cpus == sorted(cpus)


def test_back_to_a_snapshot_that_holds_the_programs(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The same command goes on; output that came after the snapshot is taken back and comes again."""
    slot.job(task("<checkpoint_interval>2</checkpoint_interval>"))
    daemon.snapshots_keep_programs = True
    kept: list[bytes] = []

    def before(method: str, *arguments: object) -> None:
        if method == "takeSnapshot" and not kept:
            kept.append(daemon.only().output["out"])
        if method == "restoreSnapshot":
            daemon.only().output["out"] = kept[0]
            daemon.only().outcome = ""

    def program(command: Command) -> None:
        restored = "restoreSnapshot" in daemon.methods()
        command.output["out"] += b"B" if restored else b"a"
        if kept and not restored and command.looks > 2:
            command.end("lost", -1)
        elif restored:
            command.end()

    daemon.before, daemon.program = before, program
    assert rig.run().good
    assert slot.read("out") == kept[0].decode() + "B"
    assert daemon.methods().count("runCmd") == 1


def test_checkpoints_reach_the_client_and_two_are_kept(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Each snapshot is a checkpoint: its CPU time is reported and stands in wrapper_checkpoint.txt."""
    slot.job(task("<checkpoint_interval>2</checkpoint_interval>"))
    most = 0

    def program(command: Command) -> None:
        nonlocal most
        command.cpu += 1.0
        most = max(most, *map(len, daemon.snapshots.values()), 0) if daemon.snapshots else 0
        if daemon.methods().count("takeSnapshot") == 4:
            assert slot.read("wrapper_checkpoint.txt").startswith("0 ")
            command.end()

    daemon.program = program
    assert rig.run().good
    assert most == 2
    assert {checkpoint for _, checkpoint, _ in rig.client.reports} > {0.0}
    assert daemon.methods().count("deleteSnapshot") == 4


def test_a_restart_counts_no_cpu_time_twice(slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path) -> None:
    """What the checkpoint holds of a command that went on is not added to what the command shows."""
    slot.job(task("<checkpoint_interval>2</checkpoint_interval>"))

    def program(command: Command) -> None:
        command.cpu = 100.0
        if (slot.path / "wrapper_checkpoint.txt").exists():
            rig.client.wish(stop=Stop.QUIT)

    daemon.program = program
    rig.run()
    daemon.program = lambda command: command.end()
    second = another(slot, tmp_path)
    assert second.run().good
    assert second.job_run.checkpoint.cpu == 100.0


def test_dear_snapshots_are_rare(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """One takes at most a twentieth of the time until the next, whatever the interval."""
    slot.job(task("<checkpoint_interval>1</checkpoint_interval>"))
    begun: list[float] = []

    def before(method: str, *arguments: object) -> None:
        if method == "takeSnapshot":
            begun.append(hurried_clock())
            wait_for(lambda: hurried_clock() - begun[-1] >= 2.0)

    daemon.before = before
    daemon.program = lambda command: command.end() if len(begun) == 3 else None
    assert rig.run().good
    assert min(later - sooner for sooner, later in itertools.pairwise(begun)) >= 40.0


def test_a_snapshot_that_fails_is_no_harm(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """It is told, and tried again when the next one is due."""
    slot.job(task("<checkpoint_interval>2</checkpoint_interval>"))

    def before(method: str, *arguments: object) -> None:
        if method == "takeSnapshot":
            refuse(Code.HYPERVISOR_FAILED, "the disk is full")

    daemon.before = before
    daemon.program = lambda command: command.end() if daemon.methods().count("takeSnapshot") == 2 else None
    assert rig.run().good
    assert any("no checkpoint was taken: the disk is full" in line for line in rig.lines)


def test_a_lease_that_ran_out(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The daemon has saved the VM: the wrapper takes it up again, and the command goes on."""
    slot.job(task())

    def program(command: Command) -> None:
        if command.looks == 2:
            daemon.leases.clear()
            daemon.vms = dict.fromkeys(daemon.vms, "Saved")
        if "leaseVM" in daemon.methods():
            command.end()

    daemon.program = program
    assert rig.run().good
    assert (daemon.vms, daemon.leases) == ({}, {})
    assert daemon.methods().count("runCmd") == 1


def test_a_vm_that_stops_under_our_hands_is_started_again(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Seen within seconds, though nothing comes from the command any more."""
    slot.job(task())

    def program(command: Command) -> None:
        if daemon.methods().count("start") == 2:
            command.end()
        elif command.looks == 2:
            daemon.vms = dict.fromkeys(daemon.vms, "Aborted")

    daemon.program = program
    assert rig.run().good


def test_a_daemon_that_goes_away_and_comes_back(
    slot: Slot, daemon: ScriptedDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found at its new address, and nothing is run twice."""
    slot.job(task())
    rig = another(slot, tmp_path)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(serving(daemon, tmp_path / "state"))
        monkeypatch.setattr(
            "vmcontroller.client.start", lambda *_: second.enter_context(serving(daemon, tmp_path / "state"))
        )

        def program(command: Command) -> None:
            if "leaseVM" in daemon.methods():
                command.end()

        polls = []

        def hook() -> None:
            polls.append(1)
            if daemon.commands and len(polls) > 5:
                polls.clear()
                first.close()

        daemon.program = program
        rig.client.hook = hook
        assert rig.run().good
    assert daemon.methods().count("runCmd") == 1
    assert daemon.vms == {}


def test_what_cannot_be_removed_is_told(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """After some tries, with the names and the way out; the job's own ending stands."""
    slot.job(task())

    def before(method: str, *arguments: object) -> None:
        if method == "removeVM":
            refuse(Code.HYPERVISOR_FAILED, "it is locked")

    daemon.before = before
    assert rig.run().good
    line = next(line for line in rig.lines if "it is locked" in line)
    assert f"`vmcontroller rm` removes {next(iter(daemon.vms))}" in line


def test_a_checkpoint_that_is_broken_is_passed_over(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The newest that can be restored is the one to go on from."""
    slot.job(task("<checkpoint_interval>1</checkpoint_interval><checkpoint_filename>cp</checkpoint_filename>"))
    tried: list[str] = []

    def before(method: str, *arguments: object) -> None:
        if method == "restoreSnapshot":
            tried.append(str(arguments[1]))
            if len(tried) == 1:
                refuse(Code.HYPERVISOR_FAILED, "its file is damaged")

    def program(command: Command) -> None:
        if tried:
            command.end()
        elif daemon.methods().count("takeSnapshot") >= 2 and command.looks > 2:
            command.end("lost", -1)

    daemon.before, daemon.program = before, program
    assert rig.run().good
    newest, older = tried
    assert int(newest.rpartition("-")[2]) == int(older.rpartition("-")[2]) + 1
    assert any("is of no use: its file is damaged" in line for line in rig.lines)
    assert any(f"goes on from its checkpoint {older}" in line for line in rig.lines)


def damaging(daemon: ScriptedDaemon) -> None:
    """Every saved state that is started is found damaged, until the VM was restored or made anew."""

    def before(method: str, *arguments: object) -> None:
        mended = {"restoreSnapshot", "removeVM"} & set(daemon.methods())
        if method == "start" and daemon.vms[str(arguments[0])] == "Saved" and not mended:
            refuse(Code.SNAPSHOT_DAMAGED, "its memory was cut")

    daemon.before = before


def test_a_saved_state_that_is_damaged(slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path) -> None:
    """The VM goes back to its newest checkpoint, as when the program had been lost."""
    slot.job(task("<checkpoint_interval>1</checkpoint_interval><checkpoint_filename>cp</checkpoint_filename>"))
    daemon.program = lambda command: rig.client.wish(stop=Stop.QUIT) if daemon.snapshots else None
    rig.run()
    damaging(daemon)
    daemon.program = lambda command: command.end()
    second = another(slot, tmp_path)
    assert second.run().good
    assert daemon.methods().count("createVM") == 1
    assert any("(its memory was cut); it goes on from its checkpoint cp-0-1" in line for line in second.lines)


def test_a_saved_state_that_is_damaged_and_no_checkpoint(
    slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path
) -> None:
    """The VM is made anew, and the program begins anew."""
    slot.job(task())
    daemon.program = lambda command: rig.client.wish(stop=Stop.QUIT)
    rig.run()
    damaging(daemon)
    daemon.program = lambda command: command.end()
    second = another(slot, tmp_path)
    assert second.run().good
    assert daemon.methods().count("createVM") == 2
    assert any("(its memory was cut); it begins anew" in line for line in second.lines)


def test_a_snapshot_that_cannot_be_deleted_is_no_harm(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """It goes with its VM."""
    slot.job(task("<checkpoint_interval>1</checkpoint_interval>"))

    def before(method: str, *arguments: object) -> None:
        if method == "deleteSnapshot":
            refuse(Code.HYPERVISOR_FAILED, "it is busy")

    def program(command: Command) -> None:
        if daemon.methods().count("takeSnapshot") >= 3:
            command.end()

    daemon.before, daemon.program = before, program
    assert rig.run().good
    assert any("could not be deleted: it is busy" in line for line in rig.lines)


def test_a_vm_that_stays_between_two_states(slot: Slot, daemon: ScriptedDaemon, rig: Rig, tmp_path: Path) -> None:
    """It is waited for, and started when it has come to rest."""
    slot.job(task())
    daemon.program = lambda command: rig.client.wish(stop=Stop.QUIT)
    rig.run()
    (vm,) = daemon.vms
    daemon.vms[vm] = "Saving"
    asked: list[str] = []

    def before(method: str, *arguments: object) -> None:
        asked.append(method)
        if asked.count("getState") == 3:
            daemon.vms[vm] = "Saved"

    daemon.before, daemon.program = before, lambda command: command.end()
    assert another(slot, tmp_path).run().good
    assert asked.index("start") > asked.index("getState") + 2
