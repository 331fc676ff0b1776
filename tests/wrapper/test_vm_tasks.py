"""Tasks in a VM, against a daemon that does what each test says: the way through, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.wrapper.harness import Rig, Slot
from tests.wrapper.jobs import task
from tests.wrapper.scripted_daemon import Command, ScriptedDaemon, refuse
from wrapper.initdata import InitData
from wrapper.remote import Code

# -- the way through


def test_the_whole_way(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """From nothing to results, and nothing is left with the daemon; the phases are told in order."""
    slot.link("in", "real_in")
    (slot.path / "real_in").write_text("data")
    slot.link("result", "real_result")
    slot.job(
        task(
            "<memory_mb>640</memory_mb><image>disk.img</image><copy_file_to_VM>in</copy_file_to_VM>"
            "<copy_file_from_VM>result</copy_file_from_VM>"
            "<command_line>-x $NTHREADS boinc_resolve(in) $PWD</command_line><setenv>A=1</setenv>"
        )
    )
    rig.options = replace(rig.options, nthreads=3)
    seen: list[Command] = []

    def program(command: Command) -> None:
        seen.append(command)
        daemon.files["result"] = b"42"
        command.output["out"] += b"hello\n"
        command.cpu = 5.0
        command.end()

    daemon.program = program
    assert rig.run().good
    assert slot.read("real_result") == "42"
    assert slot.read("out") == "hello\n"
    assert daemon.files["in"] == b"data"
    created = next(call for call in daemon.calls if call[0] == "createVM")
    name, image, options = created[1:]
    assert image == str(slot.path / "disk.img")
    assert name.startswith("boinc_")
    assert name.endswith("_vm")
    assert options == {
        "group": "boinc-" + name.split("_")[1],
        "memoryMB": 640,
        "cpus": 3,
        "network": False,
        "emulation": False,
        "lease": "lease-0",
    }
    cmd, args, env, path, stdin, options = seen[0].request
    assert (cmd, args, env, path, stdin) == ("./worker", ["-x", "3", "in", "."], {"A": "1"}, "", "")
    assert (daemon.vms, daemon.commands, daemon.leases) == ({}, {}, {})
    assert rig.phases() == ["daemon", "create", "start", "hello", "copyIn", "run", "copyOut", "cleanUp"]
    assert [path.name for path in slot.path.glob("wrapper_vm*")] == []
    assert rig.job_run.checkpoint.cpu == 5.0


@pytest.mark.parametrize(
    ("result_name", "permission", "emulation"),
    [("wu_1_0", "", False), ("wu_1_0", "<permit_emulation/>", True), ("", "", True)],
)
def test_a_client_s_computer_emulates_by_permission_only(
    slot: Slot, daemon: ScriptedDaemon, rig: Rig, result_name: str, permission: str, emulation: bool
) -> None:
    """The job gives it; without a client, where a job is tried out, none is needed."""
    slot.job(task(permission))
    rig.client.init_data = InitData(result_name=result_name)
    assert rig.run().good
    created = next(call for call in daemon.calls if call[0] == "createVM")
    assert created[3]["emulation"] is emulation


def test_two_tasks_share_a_vm_and_a_third_has_its_own(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """A VM is made once, stays for the next task that names it, and goes when none does."""
    slot.job(task("", "a") + task("", "a") + task("", "b"))
    assert rig.run().good
    verbs = [call for call in daemon.methods() if call in ("createVM", "runCmd", "removeVM")]
    assert verbs == ["createVM", "runCmd", "runCmd", "removeVM", "createVM", "runCmd", "removeVM"]


def test_what_another_job_left_under_our_name_is_removed_first(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """A VM of this name that the slot does not remember is not taken for ours; VMs of others are not touched."""
    slot.job(task())
    ours = rig_names(rig)
    daemon.vms = {ours: "Running", "boinc_0123456789abcdef_vm": "Running", "mine": "Saved"}
    assert rig.run().good
    assert daemon.methods()[:3] == ["openLease", "removeVM", "listCmds"]
    assert sorted(daemon.vms) == ["boinc_0123456789abcdef_vm", "mine"]


def rig_names(rig: Rig) -> str:
    from wrapper.job_vms import JobVMs

    return JobVMs(rig.place(), rig.bell).name("vm")


def test_a_missing_file_is_told_before_anything_is_started(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Exit code 4, and the daemon was not even asked."""
    slot.job(task("<copy_file_to_VM>absent</copy_file_to_VM>"))
    ending = rig.run()
    assert (ending.status, "absent" in ending.text) == (4, True)
    assert daemon.calls == []


def test_a_program_that_may_not_be_executed_is_told_then_too(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Exit code 195, as if the VM had tried."""
    slot.job(task())
    (slot.path / "worker").chmod(0o644)
    ending = rig.run()
    assert (ending.status, "worker is not executable" in ending.text) == (195, True)
    assert daemon.calls == []


def test_the_outputs_are_written_while_the_program_runs(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Each second what is new, over what an earlier job left in the file; both may share one file."""
    (slot.path / "out").write_text("old")
    slot.job(task("<stderr_filename>out</stderr_filename>"))
    seen: list[str] = []

    def program(command: Command) -> None:
        seen.append(slot.read("out") if (slot.path / "out").exists() else "")
        command.output["out" if command.looks % 2 else "err"] += f"{command.looks} ".encode()
        if command.looks == 4:
            command.end()

    daemon.program = program
    assert rig.run().good
    assert seen == ["", "1 ", "1 2 ", "1 2 3 "]
    assert slot.read("out") == "1 2 3 4 "


def test_fraction_done_comes_from_the_vm(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The file is fetched every few seconds, and need not be there from the start."""
    slot.job(task("<fraction_done_filename>fd</fraction_done_filename>"))

    def program(command: Command) -> None:
        if command.looks > 10:
            daemon.files["fd"] = b"0.25\n"
        if rig.client.reports[-1][2] == 0.25:
            command.end()

    daemon.program = program
    assert rig.run().good
    assert 0 < len([call for call in daemon.calls if call[0] == "cpFileFromVM"]) < len(daemon.calls) / 5


# -- how it ends


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (("exited", 3), "worker in the VM vm ended with exit code 3"),
        (("signalled", 11), "worker in the VM vm was killed by signal 11 (SIGSEGV)"),
        (("notStarted", -1, "no such file"), "worker in the VM vm could not be started: no such file"),
    ],
)
def test_a_program_that_fails(slot: Slot, daemon: ScriptedDaemon, rig: Rig, end: tuple, text: str) -> None:
    """195 with a sentence; no file is copied out, and the VM is gone."""
    slot.job(task("<copy_file_from_VM>result</copy_file_from_VM>"))
    daemon.program = lambda command: command.end(*end)
    ending = rig.run()
    assert (ending.status, ending.text) == (195, text)
    assert daemon.vms == {}
    assert ("startTransfer", "get") not in [call[:2] for call in daemon.calls]


@pytest.mark.parametrize(
    ("method", "code", "status", "tries"),
    [
        ("createVM", Code.BAD_IMAGE, 3, 1),
        ("createVM", Code.NETWORK_REFUSED, 3, 1),
        ("createVM", Code.EMULATION_REFUSED, 3, 1),
        ("createVM", Code.HYPERVISOR_FAILED, 3, 3),
        ("start", Code.HYPERVISOR_MISSING, 3, 1),
        ("runCmd", Code.BAD_REQUEST, 1, 1),
        ("runCmd", Code.GUEST_SILENT, 5, 3),
        ("startTransfer", Code.TRANSFER_FAILED, 4, 5),
        ("startTransfer", -32602, 1, 1),
    ],
)
def test_what_a_vm_cannot_do(
    slot: Slot, daemon: ScriptedDaemon, rig: Rig, method: str, code: int, status: int, tries: int
) -> None:
    """The exit codes of 2009 with the daemon's own words, after as many tries as make sense."""
    slot.job(task())

    def before(called: str, *arguments: object) -> None:
        if called == method:
            refuse(code, "the daemon's own words")

    daemon.before = before
    ending = rig.run()
    assert (ending.status, ending.text) == (status, "the daemon's own words")
    assert [call[0] for call in daemon.calls].count(method) == tries
    assert daemon.vms == {}


def test_an_agent_that_never_says_hello(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The VM is powered off and tried again; in the end the exit code is 5."""
    slot.job(task())
    daemon.guests_silent = True
    ending = rig.run()
    assert (ending.status, "did not say HELLO within 300 s" in ending.text) == (5, True)
    assert daemon.methods().count("powerOff") == 3


def test_an_output_that_is_not_there(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """Exit code 4; the sentence names the file."""
    slot.job(task("<copy_file_from_VM>result</copy_file_from_VM>"))
    ending = rig.run()
    assert (ending.status, ending.text) == (4, "result could not be copied: it is not there")


def test_a_time_limit_is_a_success(slot: Slot, daemon: ScriptedDaemon, rig: Rig) -> None:
    """The program is asked, then told to end; its files are copied out."""
    slot.job(task("<time_limit>3</time_limit><copy_file_from_VM>result</copy_file_from_VM>"))
    daemon.files["result"] = b"partial"

    def before(method: str, *arguments: object) -> None:
        if method == "signalCmd" and arguments[1] == 9:
            daemon.only().end("signalled", 9)

    daemon.before = before
    daemon.program = lambda command: None
    assert rig.run().good
    assert [call[2] for call in daemon.calls if call[0] == "signalCmd"] == [15, 9]
    assert slot.read("result") == "partial"
