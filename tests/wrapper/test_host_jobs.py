"""A job on the host while it runs: progress, checkpoints, suspension, its end, and what runs beside the tasks."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot, alive
from tests.wrapper.jobs import host_task
from wrapper.boinc import Stop, Wishes
from wrapper.initdata import InitData


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "slots" / "0")


@pytest.fixture
def rig(slot: Slot) -> Rig:
    return Rig(slot)


# -- progress and checkpoints


def test_fraction_done_follows_the_weights_and_the_file(slot: Slot, rig: Rig) -> None:
    """The file's last line counts for the share of its task; a file of an earlier run is removed."""
    (slot.path / "fd").write_text("0.9")
    slot.program("a", "sleep 0.1; echo 0.5 > fd; while [ ! -e go ]; do sleep 0.01; done")
    slot.program("b", "")
    slot.job(
        "<task><application>b</application><weight>1</weight></task>"
        "<task><application>a</application><weight>3</weight>"
        "<fraction_done_filename>fd</fraction_done_filename></task>"
    )

    def go_when_half() -> None:
        if rig.client.reports and rig.client.reports[-1][2] == 0.625:
            (slot.path / "go").touch()

    rig.client.hook = go_when_half
    assert rig.run().good
    fractions = [fraction for _, _, fraction in rig.client.reports]
    assert fractions[-1] == 1.0
    assert set(fractions) <= {0.0, 0.25, 0.625, 1.0}


def test_cpu_time_adds_up_over_tasks(slot: Slot, rig: Rig) -> None:
    """What a task and its children used is in the report and in the checkpoint."""
    burn = "import time\nwhile time.process_time() < 0.15: pass"
    slot.program("a", f"{sys.executable} -S -c '{burn}'")
    slot.job(host_task("") * 2)
    assert rig.run().good
    cpu, checkpoint_cpu, _ = rig.client.reports[-1]
    assert 0.28 <= cpu == checkpoint_cpu < 2.0
    done, kept, _ = slot.read("wrapper_checkpoint.txt").split()
    assert (done, float(kept)) == ("2", pytest.approx(cpu, abs=1e-4))


def test_a_checkpoint_file_checkpoints_the_job(slot: Slot, rig: Rig) -> None:
    """Written for the first time it counts: the wrapper's own file says so while the task runs."""
    slot.program("a", "echo 1 > cp; while [ ! -e go ]; do sleep 0.01; done")
    slot.job("<task><application>a</application><checkpoint_filename>cp</checkpoint_filename></task>")

    def go_when_noted() -> None:
        if (slot.path / "wrapper_checkpoint.txt").exists():
            assert slot.read("wrapper_checkpoint.txt").startswith("0 ")
            (slot.path / "go").touch()

    rig.client.hook = go_when_noted
    assert rig.run().good
    assert (slot.path / "go").exists()


def test_a_restart_goes_on_with_the_next_task(slot: Slot, rig: Rig) -> None:
    """Tasks that the checkpoint counts as done are not run; their CPU and run time are kept."""
    (slot.path / "wrapper_checkpoint.txt").write_text("1 10.0 20.0\n")
    slot.program("a", "touch wrong")
    slot.program("b", "")
    slot.job("<task><application>a</application></task><task><application>b</application></task>")
    assert rig.run().good
    assert not (slot.path / "wrong").exists()
    done, cpu, runtime = slot.read("wrapper_checkpoint.txt").split()
    assert (done, float(cpu) >= 10.0, float(runtime) >= 20.0) == ("2", True, True)


# -- priority, suspension, the end


@pytest.mark.parametrize(
    ("priority", "data", "nice"),
    [
        ("", InitData(), 19),
        ("<priority>2</priority>", InitData(), 10),
        ("<priority>0</priority>", InitData(), 0),
        ("<priority>2</priority>", InitData(process_priority=0), 19),
        ("", InitData(no_priority_change=True), 0),
    ],
)
def test_priority(slot: Slot, rig: Rig, priority: str, data: InitData, nice: int) -> None:
    """From its first instruction on; the client's wish goes before the job's."""
    slot.program("a", "nice")
    slot.job(host_task(priority))
    rig.client.init_data = data
    assert rig.run().good
    assert int(slot.read("out")) == max(nice, os.nice(0))


@pytest.mark.parametrize("multi_process", ["", "<multi_process/>"])
def test_suspend_and_resume(slot: Slot, rig: Rig, multi_process: str) -> None:
    """Only the first process is stopped, or with multi_process all; suspended time does not count."""
    os.mkfifo(slot.path / "go")
    slot.program("a", "sleep 300 & echo $! > child; echo $$ > parent; read word < go; kill $(cat child)")
    slot.job(f"<task><application>a</application>{multi_process}</task>")
    seen: list[tuple[str, str]] = []
    times: set[float] = set()

    def drive() -> None:
        if len(seen) == 20:
            rig.client.wish(suspended=False)
            os.close(os.open(slot.path / "go", os.O_RDWR))
        elif rig.client.wishes.suspended and state(slot.read("parent")) == "T":
            seen.append((state(slot.read("parent")), state(slot.read("child"))))
            times.add(rig.loop.running.seconds)
        elif (slot.path / "parent").exists() and slot.read("parent").strip():
            rig.client.wish(suspended=True)

    rig.client.hook = drive
    assert rig.run().good
    children = {child for _, child in seen} - {"R"}  # a signal has not reached it before it runs
    assert children == ({"T"} if multi_process else {"S"})
    assert len(times) == 1


def state(pid: str) -> str:
    return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("suspended", [False, True])
def test_a_stop_ends_everything(slot: Slot, rig: Rig, suspended: bool) -> None:
    """Also what is stopped, ignores SIGTERM or has lost its parent. No task is counted as done."""
    slot.program("a", "trap '' TERM; (sleep 600 & echo $! > orphan); sleep 600 & echo $! > child; echo $$ > me; wait")
    slot.job(host_task("") * 2)

    def stop() -> None:
        if (slot.path / "me").exists() and slot.read("me").strip():
            if suspended and not rig.client.wishes.suspended:
                rig.client.wish(suspended=True)
            else:
                rig.client.wish(stop=Stop.QUIT)

    rig.client.hook = stop
    rig.run()
    assert rig.loop.stopped is Stop.QUIT
    assert alive([int(slot.read(name)) for name in ("orphan", "child", "me")]) == []
    assert not Path(f"/proc/{slot.read('me').strip()}").exists(), "it was not waited for"
    assert rig.job_run.checkpoint.tasks_done == 0


def test_no_task_is_started_after_a_stop(slot: Slot, rig: Rig) -> None:
    """A wish that is there before the first task keeps it from being started."""
    slot.program("a", "touch wrong")
    slot.job(host_task(""))
    rig.client.wishes = Wishes(stop=Stop.ABORT)
    rig.run()
    assert not (slot.path / "wrong").exists()


# -- beside the tasks


def test_daemons_run_beside_the_tasks_and_end_with_them(slot: Slot, rig: Rig) -> None:
    """Macros are replaced for them, too, which the stock wrapper forgets."""
    slot.program("d", 'echo "$1" > args; echo $$ > pid.new; mv pid.new pid; exec sleep 600')
    slot.program("a", "while [ ! -e pid ]; do sleep 0.01; done")
    slot.job(
        "<task><application>d</application><command_line>$NTHREADS</command_line><daemon/></task>"
        "<task><application>a</application></task>"
    )
    assert rig.run().good
    assert slot.read("args") == "1\n"
    assert alive([int(slot.read("pid"))]) == []


def test_daemons_end_with_a_job_that_fails(slot: Slot, rig: Rig) -> None:
    """Whatever the end is, nothing is left."""
    slot.program("d", "echo $$ > pid.new; mv pid.new pid; exec sleep 600")
    slot.program("a", "while [ ! -e pid ]; do sleep 0.01; done; exit 1")
    slot.job("<task><application>d</application><daemon/></task><task><application>a</application></task>")
    assert rig.run().status == 195
    assert alive([int(slot.read("pid"))]) == []


def test_unzip_tasks_come_first_and_resolve_their_words(slot: Slot, rig: Rig) -> None:
    """Two side by side, both before the first task; ./names are logical, programs may be the host's, as in 2009."""
    slot.link("archive", "./real")
    (slot.path / "real").write_text("unpacked")
    slot.program("a", "cat copy1 copy2")
    slot.job(
        "<unzip_task><application>cp</application><command_line>./archive copy1</command_line></unzip_task>"
        "<unzip_task><application>cp</application><command_line>./archive copy2</command_line></unzip_task>"
        + host_task("")
    )
    assert rig.run().good
    assert slot.read("out") == "unpacked" * 2


def test_an_unzip_task_that_takes_too_long(slot: Slot, rig: Rig) -> None:
    """After 60 s it is ended, and the job with 5; no task was started."""
    slot.program("slow", "echo $$ > pid; exec sleep 600")
    slot.program("a", "touch wrong")
    slot.job("<unzip_task><application>slow</application></unzip_task>" + host_task(""))
    ending = rig.run()
    assert (ending.status, "slow" in ending.text) == (5, True)
    assert alive([int(slot.read("pid"))]) == []
    assert not (slot.path / "wrong").exists()


def test_unzip_tasks_are_suspended_like_any_other(slot: Slot, rig: Rig) -> None:
    """All of them stand still, and go on."""
    for name in ("one", "two"):
        slot.program(name, f"echo $$ > {name}.pid; while [ ! -e go ]; do sleep 0.01; done")
    slot.program("a", "")
    unzip = "<unzip_task><application>{0}</application></unzip_task>"
    slot.job(unzip.format("one") + unzip.format("two") + host_task())
    pids = [slot.path / "one.pid", slot.path / "two.pid"]
    seen: list[set[str]] = []

    def drive() -> None:
        if all(path.exists() and path.read_text().strip() for path in pids) and not seen:
            rig.client.wish(suspended=True)
        if rig.client.wishes.suspended and (states := {state(path.read_text()) for path in pids}) == {"T"}:
            seen.append(states)
            (slot.path / "go").touch()
            rig.client.wish(suspended=False)

    rig.client.hook = drive
    assert rig.run().good
    assert seen == [{"T"}]


def test_vmmanage_tasks_wait_for_a_vm(slot: Slot, rig: Rig) -> None:
    """They are for VM tasks alone; a job without one leaves them aside."""
    slot.program("m", "touch wrong")
    slot.program("a", "")
    slot.job("<VMmanage_task><application>m</application></VMmanage_task>" + host_task(""))
    assert rig.run().good
    assert not (slot.path / "wrong").exists()


def test_graphics_status_is_written_when_asked_for(slot: Slot, rig: Rig) -> None:
    """With the values of the job."""
    slot.program("a", "while [ ! -e graphics_status.xml ]; do sleep 0.01; done")
    slot.job("<enable_graphics_support/>" + host_task(""))
    assert rig.run().good
    assert "<fraction_done>1.000000</fraction_done>" in slot.read("graphics_status.xml")


def test_use_tstp_suspends_with_another_signal(slot: Slot, rig: Rig) -> None:
    """A program may catch SIGTSTP, and end its own work first."""
    slot.program("a", "trap 'touch caught' TSTP; echo > ready; while [ ! -e go ]; do sleep 0.01; done")
    slot.job(host_task(""))
    rig.options = replace(rig.options, use_tstp=True)

    def drive() -> None:
        rig.client.wish(suspended=(slot.path / "ready").exists())
        if (slot.path / "caught").exists():
            (slot.path / "go").touch()

    rig.client.hook = drive
    assert rig.run().good


def test_signals_are_known_by_their_names() -> None:
    """Also those that have none."""
    from wrapper.host_task import how_it_ended

    assert how_it_ended(-signal.SIGSEGV) == "was killed by signal 11 (SIGSEGV)"
    assert how_it_ended(-99) == "was killed by signal 99"
