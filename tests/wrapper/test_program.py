"""vmwrapper as a process: exit codes, the files of the BOINC runtime, signals, and what it says where."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.wrapper.harness import DEADLINE, Slot, alive, wait_for

ONE_TASK = "<task><application>a</application><stdout_filename>out</stdout_filename></task>"


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "slot")


def files(slot: Slot) -> set[str]:
    return {path.name for path in slot.path.iterdir()}


# -- the end of a job


def test_a_job_that_ends_well(slot: Slot) -> None:
    """Exit code 0, the finish file, no lock, and the story in stderr.txt with the prefix of BOINC."""
    slot.program("a", "echo wrong >&2")
    slot.job(ONE_TASK)
    result = slot.run()
    assert (result.code, result.out) == (0, "")
    assert slot.read("boinc_finish_called") == "0\n"
    assert files(slot) == {"a", "job.xml", "out", "boinc_finish_called", "stderr.txt", "wrapper_checkpoint.txt"}
    lines = result.stderr_txt.splitlines()
    told = [line for line in lines if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(\d+\): ", line)]
    assert [line for line in lines if line not in told] == ["wrong"]
    assert [re.sub(r"^.*?\): ", "", line) for line in told[:3]] == [
        "Can't open init data file - running in standalone mode",
        "wrapper: starting",
        "wrapper: running a ()",
    ]
    assert re.search(r"\): a exited; CPU time \d\.\d+$", told[3])
    assert told[-2].partition("): ")[2].startswith("The job is done: its one task ended well in ")
    assert told[-1].endswith("called boinc_finish(0)")


def test_a_job_that_fails(slot: Slot) -> None:
    """Exit code 195; one paragraph says why, in stderr.txt and on the stderr of the start."""
    slot.program("a", "exit 3")
    slot.job(ONE_TASK)
    result = slot.run()
    assert result.code == 195
    assert slot.read("boinc_finish_called") == "195\n"
    assert "app exit status: 0x3" in result.stderr_txt
    text = "The job failed in task 1 of 1: a ended with exit code 3. The exit code is 195."
    assert result.stderr_txt.splitlines()[-2].endswith(text)
    assert result.err.splitlines()[-1] == text


@pytest.mark.parametrize(
    ("options", "job", "code", "text"),
    [
        (("--nosuch",), "", 206, "--nosuch is no option"),
        ((), None, 148, "job.xml: it cannot be opened (No such file or directory)"),
        ((), "<task>", 144, "job.xml"),
        ((), "<task><virtualmachine>a/b</virtualmachine></task>", 144, "job.xml:1: <virtualmachine>"),
        ((), "<zip_output><zipfilename>z</zipfilename><filename>(</filename></zip_output>", 1, "regular expression"),
    ],
)
def test_what_ends_it_before_it_begins(
    slot: Slot, options: tuple[str, ...], job: str | None, code: int, text: str
) -> None:
    """One line on the stderr of the start, the stock wrapper's exit code, nothing started and nothing written."""
    if job is not None:
        slot.job(job)
    before = files(slot)
    result = slot.run(*options)
    assert result.code == code
    assert text in result.err
    assert "Traceback" not in result.err
    assert files(slot) == before


def test_problems_that_the_stock_wrapper_lets_pass_are_told(slot: Slot) -> None:
    """The job runs; stderr.txt has the line and the remedy."""
    slot.program("a", "")
    slot.job(ONE_TASK.replace("</task>", "<priority>9</priority></task>") + "<nonsense/>")
    result = slot.run()
    assert result.code == 0
    assert "job.xml:1: error: <nonsense/> is no element of <job_desc>" in result.stderr_txt
    assert "job.xml:1: error: <priority> is 9; write an integer from 0 to 5" in result.stderr_txt


def test_a_checkpoint_beyond_the_last_task(slot: Slot) -> None:
    """Exit code 1 and the stock wrapper's message."""
    (slot.path / "wrapper_checkpoint.txt").write_text("2 0 0\n")
    slot.job(ONE_TASK)
    result = slot.run()
    assert result.code == 1
    assert "ntasks_completed too large: 2 > 1" in result.stderr_txt
    assert slot.read("boinc_finish_called") == "1\n"


def test_a_job_that_was_done_already(slot: Slot) -> None:
    """Exit code 0, and no task is run."""
    (slot.path / "wrapper_checkpoint.txt").write_text("1 2.0 3.0\n")
    slot.job(ONE_TASK)
    assert slot.run().code == 0


# -- archives


def test_archives_are_unpacked_and_packed(slot: Slot) -> None:
    """unzip_input on the first start only; zip_output takes new files that match, and no others."""
    subprocess.run(["python3", "-m", "zipfile", "-c", "in.zip", "job.xml"], cwd=_with_job(slot), check=True)
    (slot.path / "job.xml").rename(slot.path / "kept.xml")
    slot.job(
        "<unzip_input><zipfilename>in.zip</zipfilename></unzip_input>"
        "<zip_output><zipfilename>out.zip</zipfilename><filename>^new</filename><filename>txt$</filename></zip_output>"
        + ONE_TASK
    )
    (slot.path / "old.txt").write_text("")
    slot.program("a", "echo 1 > new1; echo 2 > 2.txt; echo 3 > other")
    assert slot.run().code == 0
    listing = subprocess.run(
        ["python3", "-m", "zipfile", "-l", "out.zip"], cwd=slot.path, check=True, capture_output=True, text=True
    )
    names = [line.split()[0] for line in listing.stdout.splitlines()[1:]]
    assert names == ["2.txt", "new1", "stderr.txt"]
    assert "in.zip" not in files(slot)


def _with_job(slot: Slot) -> Path:
    slot.job("")
    return slot.path


def test_an_archive_that_is_none(slot: Slot) -> None:
    """Exit code 1; the message names it, and nothing was started."""
    (slot.path / "in.zip").write_text("no archive")
    slot.program("a", "touch wrong")
    slot.job("<unzip_input><zipfilename>in.zip</zipfilename></unzip_input>" + ONE_TASK)
    result = slot.run()
    assert (result.code, "in.zip cannot be unpacked" in result.err) == (1, True)
    assert "wrong" not in files(slot)


def test_a_daemon_that_cannot_be_had(slot: Slot) -> None:
    """Exit code 3 with the reason, at once."""
    slot.job("<task><virtualmachine>vm</virtualmachine><application>sh</application></task>")
    result = slot.run(VMCONTROLLER_STATE_DIR="/dev/null/state")
    assert result.code == 3
    assert "/dev/null/state" in result.err
    assert "could not be put away" not in result.stderr_txt


# -- signals and the lock


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(slot: Slot, number: signal.Signals) -> None:
    """Children first; the exit code tells the signal; the checkpoint and what the program wrote stay."""
    slot.program("a", "sleep 600 & echo $! > child; wait")
    slot.job(ONE_TASK)
    with slot.start() as process:
        wait_for(lambda: (slot.path / "child").exists() and slot.read("child").strip(), "the child")
        process.send_signal(number)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + number
    assert alive([int(slot.read("child"))]) == []
    assert "boinc_finish_called" not in files(slot)
    assert "boinc_lockfile" not in files(slot)
    assert slot.read("wrapper_checkpoint.txt").startswith("0 ")


def test_a_second_interrupt_waits_for_nobody(slot: Slot) -> None:
    """A program that ignores SIGTERM has ten seconds, unless one presses Ctrl-C again."""
    slot.program("a", "trap '' TERM; echo $$ > pid; while :; do sleep 600; done")
    slot.job(ONE_TASK)
    with slot.start() as process:
        wait_for(lambda: (slot.path / "pid").exists() and slot.read("pid").strip(), "the child")
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 130
    assert alive([int(slot.read("pid"))]) == []


def test_a_second_wrapper_waits_for_the_first(slot: Slot) -> None:
    """It says so, and does the job that the first one left."""
    slot.program("a", "echo $$ >> pids; [ -e go ] || exec sleep 600")
    slot.job(ONE_TASK)
    with slot.start() as first:
        wait_for((slot.path / "pids").exists, "the first")
        with slot.start() as second:
            assert second.stderr
            wait_for(lambda: "another wrapper" in second.stderr.readline(), "the second")  # type: ignore[union-attr]
            (slot.path / "go").touch()
            first.send_signal(signal.SIGTERM)
            first.communicate(timeout=DEADLINE)
            second.communicate(timeout=DEADLINE)
    assert (first.returncode, second.returncode) == (143, 0)
    assert len(slot.read("pids").split()) == 2


# -- what it says


def test_events_on_stdout_are_alone_there(slot: Slot) -> None:
    """One JSON object a line; what a program prints goes to stderr.txt then."""
    slot.program("a", "echo hello")
    slot.job("<task><application>a</application></task>")
    result = slot.run("--events", "-")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [event["phase"] for event in events if event["phase"] != "progress"] == ["run", "done"]
    assert all({"time", "phase", "text"} <= event.keys() for event in events)
    assert {"fraction", "cpu", "runtime", "task"} <= events[1].keys()
    assert events[-1]["status"] == 0
    assert "hello" in result.stderr_txt


def test_a_reader_of_events_may_leave(slot: Slot) -> None:
    """The job does not suffer for it."""
    slot.program("a", "sleep 0.5")
    slot.job("<task><application>a</application></task>")
    with slot.start("--events", "-") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        process.wait(DEADLINE)
    assert process.returncode == 0


def test_phases_on_a_terminal(slot: Slot) -> None:
    """Who starts it at a terminal sees what happens; who asks with --verbose sees it anywhere."""
    slot.program("a", "")
    slot.job("<task><application>a</application></task>")
    assert "wrapper: running a ()" in slot.run("--verbose").err
    (slot.path / "wrapper_checkpoint.txt").unlink()
    ours, its = pty.openpty()
    command = slot.start()
    command.communicate(timeout=DEADLINE)
    (slot.path / "wrapper_checkpoint.txt").unlink()
    with subprocess.Popen(
        command.args, cwd=slot.path, stdin=its, stdout=its, stderr=its, env=os.environ | {"PYTHONPATH": _root()}
    ) as process:
        os.close(its)
        said = b""
        while chunk := _read(ours):
            said += chunk
        process.wait(DEADLINE)
    os.close(ours)
    assert b"wrapper: running a ()" in said
    assert b"The job is done" in said


def _root() -> str:
    return str(Path(__file__).parents[2])


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_help_and_version(slot: Slot) -> None:
    """Neither needs a job."""
    assert "usage: vmwrapper" in slot.run("--help").out
    assert slot.run("--version").out.startswith("vmwrapper ")
