"""Tasks in a VM, against a daemon that does what each test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot
from tests.wrapper.scripted_daemon import Command, ScriptedDaemon, refuse, serving
from wrapper.boinc import Stop
from wrapper.initdata import InitData
from wrapper.options import Options
from wrapper.remote import Code


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    made = Slot(tmp_path / "slots" / "0")
    made.program("worker", "")
    return made


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon()


@pytest.fixture
def rig(slot: Slot, daemon: ScriptedDaemon, tmp_path: Path) -> Iterator[Rig]:
    with serving(daemon, tmp_path / "state"):
        yield another(slot, tmp_path)


def another(slot: Slot, tmp_path: Path) -> Rig:
    """Another wrapper for the same slot."""
    rig = Rig(slot, Options(state_dir=tmp_path / "state"))
    rig.client.init_data = InitData(result_name="result_1")
    return rig


def task(inside: str = "", label: str = "vm") -> str:
    return (
        f"<task><virtualmachine>{label}</virtualmachine><application>worker</application><copy_app_to_VM/>"
        f"<stdout_filename>out</stdout_filename>{inside}</task>"
    )


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
        "lease": "lease-0",
    }
    cmd, args, env, path, stdin, options = seen[0].request
    assert (cmd, args, env, path, stdin) == ("./worker", ["-x", "3", "in", "."], {"A": "1"}, "", "")
    assert (daemon.vms, daemon.commands, daemon.leases) == ({}, {}, {})
    assert rig.phases() == ["daemon", "create", "start", "hello", "copyIn", "run", "copyOut", "cleanUp"]
    assert [path.name for path in slot.path.glob("wrapper_vm*")] == []
    assert rig.job_run.checkpoint.cpu == 5.0


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


# -- suspend, quit, abort


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


# -- what goes wrong and is mended


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
