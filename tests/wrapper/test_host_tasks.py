"""A task without a virtualmachine: what the stock wrapper does with it, row by row."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wrapper.harness import Rig, Slot, alive
from tests.wrapper.jobs import host_task
from wrapper.initdata import InitData
from wrapper.options import Options


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "slots" / "0")


@pytest.fixture
def rig(slot: Slot) -> Rig:
    return Rig(slot)


# -- input and output


def test_outputs_are_appended_to_the_files_behind_their_links(slot: Slot, rig: Rig) -> None:
    """Both tasks write to one file, and the link in the slot stays a link."""
    (slot.path.parent.parent / "p").mkdir()
    slot.link("out", "../../p/out_1")
    slot.program("a", 'echo "$1"')
    slot.job(host_task("<command_line>one</command_line>") + host_task("<command_line>two</command_line>"))
    assert rig.run().good
    assert (slot.path.parent.parent / "p" / "out_1").read_text() == "one\ntwo\n"
    assert "soft_link" in slot.read("out")


def test_stdin_and_stderr_have_files_of_their_own(slot: Slot, rig: Rig) -> None:
    """Input is read from, errors are appended to, the resolved files."""
    (slot.path / "in").write_text("hello")
    (slot.path / "err").write_text("before\n")
    slot.program("a", "cat; echo wrong >&2")
    slot.job(host_task("<stdin_filename>in</stdin_filename><stderr_filename>err</stderr_filename>"))
    assert rig.run().good
    assert (slot.read("out"), slot.read("err")) == ("hello", "before\nwrong\n")


def test_missing_input_fails_the_job(slot: Slot, rig: Rig) -> None:
    """With 195, and the sentence names the file."""
    slot.program("a", "cat")
    slot.job(host_task("<stdin_filename>absent</stdin_filename>"))
    ending = rig.run()
    assert ending.status == 195
    assert "absent" in ending.text


# -- command lines and environment


def test_arguments_and_macros(slot: Slot, rig: Rig) -> None:
    """Quotes, macros, boinc_resolve and the wrapper's own arguments."""
    slot.link("in", "../../p/in_1")
    slot.program("a", 'for word; do echo "$word"; done')
    slot.job(
        host_task(
            "<command_line>'a b' $NTHREADS $PWD $PROJECT_DIR/x $GPU_DEVICE_NUM boinc_resolve(in)</command_line>"
            "<append_cmdline_args/>"
        )
    )
    rig.options = Options(nthreads=3, device=1, passthrough=("more", "and more"))
    rig.client.init_data = InitData(project_dir="/p")
    assert rig.run().good
    expected = ["a b", "3", str(slot.path), "/p/x", "1", "../../p/in_1", "more", "and", "more"]
    assert slot.read("out").splitlines() == expected


def test_the_client_s_device_goes_before_the_option(slot: Slot, rig: Rig) -> None:
    """And without append_cmdline_args the wrapper's arguments stay out."""
    slot.program("a", 'echo "$@"')
    slot.job(host_task("<command_line>$GPU_DEVICE_NUM</command_line>"))
    rig.options = Options(device=1, passthrough=("more",))
    rig.client.init_data = InitData(gpu_device_num=2)
    assert rig.run().good
    assert slot.read("out") == "2\n"


def test_setenv_replaces_the_whole_environment(slot: Slot, rig: Rig) -> None:
    """Nothing else is left, no PATH either."""
    (slot.path / "a").symlink_to(os.path.realpath("/usr/bin/env"))
    slot.job(host_task("<setenv>A=1=2</setenv><setenv>B=$NTHREADS</setenv>"))
    assert rig.run().good
    assert sorted(slot.read("out").split()) == ["A=1=2", "B=1"]


def test_without_setenv_the_environment_is_inherited(slot: Slot, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the client gave it."""
    monkeypatch.setenv("FROM_THE_CLIENT", "yes")
    slot.program("a", 'echo "$FROM_THE_CLIENT"')
    slot.job(host_task(""))
    assert rig.run().good
    assert slot.read("out") == "yes\n"


def test_exec_dir_also_with_a_relative_application(slot: Slot, rig: Rig) -> None:
    """The stock wrapper fails with a soft-linked application there; a path relative to the slot stays one."""
    (slot.path / "sub").mkdir()
    slot.program("a", "pwd")
    slot.job(host_task("<exec_dir>$PWD/sub</exec_dir>") + host_task("<exec_dir>sub</exec_dir>"))
    assert rig.run().good
    assert slot.read("out").split() == [str(slot.path / "sub")] * 2


def test_an_application_in_the_project_directory(slot: Slot, rig: Rig, tmp_path: Path) -> None:
    """$PROJECT_DIR in the application's name, and a soft link."""
    project = Slot(tmp_path / "project")
    project.program("real", 'echo "$0"')
    slot.link("a", "../../project/real")
    rig.client.init_data = InitData(project_dir=str(project.path))
    slot.job(host_task("") + host_task("<application>$PROJECT_DIR/real</application>"))
    assert rig.run().good
    assert slot.read("out").split() == ["./../../project/real", f"{project.path}/real"]


# -- how it ends


def test_a_missing_application(slot: Slot, rig: Rig) -> None:
    """Exit code 1, and the message of the stock wrapper."""
    slot.job(host_task(""))
    ending = rig.run()
    assert (ending.status, ending.text) == (1, "application a missing")


@pytest.mark.parametrize(
    ("program", "text"), [("exit 7", "ended with exit code 7"), ("kill -9 $$", "was killed by signal 9 (SIGKILL)")]
)
def test_a_program_that_fails(slot: Slot, rig: Rig, program: str, text: str) -> None:
    """195, whatever its own code; no further task is run."""
    slot.program("a", program)
    slot.job(host_task("") + host_task(""))
    ending = rig.run()
    assert (ending.status, ending.text) == (195, f"a {text}")
    assert len([line for line in rig.lines if "wrapper: running" in line]) == 1


def test_a_program_that_cannot_be_executed(slot: Slot, rig: Rig) -> None:
    """195 and the reason."""
    (slot.path / "a").write_text("data")
    slot.job(host_task(""))
    ending = rig.run()
    assert ending.status == 195
    assert "Permission denied" in ending.text


def test_a_boinc_resolve_without_its_parenthesis(slot: Slot, rig: Rig) -> None:
    """Exit code 1, as the stock wrapper."""
    slot.program("a", "")
    slot.job(host_task("<command_line>boinc_resolve(in</command_line>"))
    ending = rig.run()
    assert ending.status == 1
    assert "missing ')'" in ending.text


def test_a_time_limit_is_a_success(slot: Slot, rig: Rig) -> None:
    """The program is ended, also one that ignores SIGTERM, with all that it started; the next task runs."""
    slot.program("a", "trap '' TERM; sleep 600 & echo $! > pid; wait; wait")
    slot.program("b", "touch after")
    slot.job(
        "<task><application>a</application><time_limit>3</time_limit></task><task><application>b</application></task>"
    )
    assert rig.run().good
    assert (slot.path / "after").exists()
    assert alive([int(slot.read("pid"))]) == []
    assert any("a reached time limit 3" in line for line in rig.lines)


def test_a_job_without_tasks_is_done(slot: Slot, rig: Rig) -> None:
    """Zero tasks are legal."""
    slot.job("")
    assert rig.run().good
