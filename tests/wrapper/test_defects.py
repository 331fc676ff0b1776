"""Regression tests for the defects of the 2009 wrapper: 14 to 18 of the list in tests/loopback/test_defects.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wrapper.harness import HASTE, Rig, Slot
from tests.wrapper.scripted_daemon import Command, ScriptedDaemon


def task(inside: str = "", label: str = "vm") -> str:
    return f"<task><virtualmachine>{label}</virtualmachine><application>worker</application>{inside}</task>"


def test_defect_14_snapshots_of_the_running_task(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """With a VMmanage task beside it, the VM task gets its snapshots; checkpoint_filename is a name, not a number."""
    slot.program("manager", "exec sleep 600")
    slot.job(
        "<VMmanage_task><application>manager</application></VMmanage_task>"
        + task("<checkpoint_interval>1</checkpoint_interval><checkpoint_filename>a name</checkpoint_filename>")
    )
    daemon.program = lambda command: command.end() if "takeSnapshot" in daemon.methods() else None
    assert rig.run().good
    vm, name = next(call[1:3] for call in daemon.calls if call[0] == "takeSnapshot")
    assert vm.endswith("_vm")
    assert name.startswith("a name")


def test_defect_14_each_task_has_its_own_files(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """What one task copies in and out is no business of the next."""
    for name in ("one", "two"):
        (slot.path / name).write_text(name)
    slot.job(
        task("<copy_file_to_VM>one</copy_file_to_VM><copy_file_from_VM>one</copy_file_from_VM>")
        + task("<copy_file_to_VM>two</copy_file_to_VM>")
    )
    assert rig.run().good
    moved = [(call[1], Path(call[3]).name) for call in daemon.calls if call[0] == "startTransfer"]
    assert moved == [("put", "one"), ("get", "one"), ("put", "two")]


def test_defect_14_the_error_is_that_of_the_task_that_failed(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Not that of a helper beside it."""
    slot.program("manager", "exit 9")
    slot.job("<VMmanage_task><application>manager</application></VMmanage_task>" + task())
    daemon.program = lambda command: command.end("exited", 7)
    ending = rig.run()
    assert (ending.status, ending.text) == (195, "worker in the VM vm ended with exit code 7")


def test_defect_15_cpu_time_costs_no_command(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """It is that of the task's command alone, known while it runs, and never falls, suspended or not."""
    slot.job(task())

    def program(command: Command) -> None:
        command.cpu = {5: 3.0}.get(command.looks, float(command.looks))
        if command.looks == 12:
            command.end()

    looks = []

    def drive() -> None:
        looks.append("Paused" in daemon.vms.values())
        begun = any(command.looks > 3 for command in daemon.commands.values())
        rig.client.wish(suspended=begun and looks.count(True) < 10)

    daemon.program, rig.client.hook = program, drive
    assert rig.run().good
    assert looks.count(True) == 10
    assert daemon.methods().count("runCmd") == 1
    cpus = [cpu for cpu, _, _ in rig.client.reports]
    assert cpus == sorted(cpus)
    assert {1.0, 2.0} & set(cpus)
    assert cpus[-1] == 12.0


def test_defect_16_no_blind_sleeps(
    slot: Slot, daemon: ScriptedDaemon, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper waits for what it needs: without a second's pause from the first call to the last."""
    (slot.path / "in").write_text("")
    slot.job(task("<copy_file_to_VM>in</copy_file_to_VM>"))
    assert rig.run().good
    assert rig.loop.running.seconds < 5.0 * HASTE  # five real seconds: 2009 slept more than twenty
    waited = [call[2] for call in daemon.calls if call[0] in ("waitForVM", "waitForCmd", "waitForTransfer")]
    assert waited
    assert max(waited) <= 5.0


def test_defect_17_nothing_stays_on_the_volunteer_s_disk(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """At the end of a job its VMs are removed with their disks, not saved, whether it went well or not."""
    slot.job(task("", "a") + task("", "b"))
    daemon.program = lambda command: command.end("exited", int(command.vm.endswith("_b")))
    assert rig.run().status == 195
    assert daemon.methods().count("removeVM") == 2
    assert "saveState" not in daemon.methods()
    assert (daemon.vms, daemon.commands, daemon.leases) == ({}, {}, {})


@pytest.mark.parametrize("how", ["<copy_stdin_to_VM/>", "<copy_file_to_VM>input</copy_file_to_VM>", ""])
def test_defect_18_stdin_is_a_file_in_the_guest(slot: Slot, daemon: ScriptedDaemon, rig: Rig, how: str) -> None:
    """The logical file is copied in, once, and the command is told its name there, not the host's path."""
    slot.link("input", "input_1")
    (slot.path / "input_1").write_text("data")
    slot.job(task(f"<stdin_filename>input</stdin_filename>{how}"))
    seen: list[object] = []

    def program(command: Command) -> None:
        seen.append(command.request[4])
        command.end()

    daemon.program = program
    assert rig.run().good
    assert seen == ["input"]
    assert daemon.files["input"] == b"data"
    assert len([call for call in daemon.calls if call[0] == "startTransfer"]) == 1


def test_defect_18_stdin_may_lie_in_the_image(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """A file that the slot does not have is the guest's own."""
    slot.job(task("<stdin_filename>data/input</stdin_filename>"))
    daemon.program = lambda command: command.end("exited", int(command.request[4] != "data/input"))
    assert rig.run().good
