"""The VM of a task: what it may be, and what stops the job before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from job_xml.model import VirtualMachine
from job_xml.parse import read
from job_xml.problems import EXIT_BAD_FILE
from tests.job_xml.reading import in_job, in_task, in_vm, job_of, refused, task_of, vm_of, written


def test_a_vm_that_says_nothing(tmp_path: Path) -> None:
    """A label is enough."""
    assert vm_of(tmp_path, "") == VirtualMachine("vm")


def test_a_vm_that_says_everything(tmp_path: Path) -> None:
    """Each element of a VM reaches its field."""
    vm = vm_of(
        tmp_path,
        """<image>disk.qcow2</image> <app_pathVM>bin/app</app_pathVM> <copy_app_to_VM>1</copy_app_to_VM>
        <copy_file_to_VM>a</copy_file_to_VM> <copy_file_to_VM>b/c</copy_file_to_VM> <copy_stdin_to_VM/>
        <copy_file_from_VM>out</copy_file_from_VM> <copy_file_from_VM>./log</copy_file_from_VM>
        <stdin_filename>in</stdin_filename>
        <memory_mb>2048</memory_mb> <cpus>4</cpus> <network>1</network>
        <checkpoint_interval>60.5</checkpoint_interval> <permit_emulation/>""",
    )
    assert vm == VirtualMachine(
        label="vm",
        image="disk.qcow2",
        app_path="bin/app",
        copy_app=True,
        copy_stdin=True,
        files_in=("a", "b/c"),
        files_out=("out", "./log"),
        memory_mb=2048,
        cpus=4,
        network=True,
        checkpoint_interval=60.5,
        permit_emulation=True,
    )


@pytest.mark.parametrize(
    ("inside", "program"),
    [
        ("<application>a</application>", "a"),
        ("<application>a</application><virtualmachine>v</virtualmachine>", "a"),
        ("<application>a</application><virtualmachine>v</virtualmachine><app_pathVM>/bin/b</app_pathVM>", "/bin/b"),
        ("<virtualmachine>v</virtualmachine><app_pathVM>/bin/b</app_pathVM>", "/bin/b"),
    ],
)
def test_the_program(tmp_path: Path, inside: str, program: str) -> None:
    """The path in the VM, where there is one, else the application."""
    assert task_of(tmp_path, inside).program == program


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<virtualmachine></virtualmachine>",
        "<virtualmachine/>",
        "<virtualmachine></virtualmachine><copy_app_to_VM>0</copy_app_to_VM><image></image><app_pathVM/>",
        "<copy_file_to_VM></copy_file_to_VM><copy_file_from_VM/><copy_stdin_to_VM>0</copy_stdin_to_VM>",
    ],
)
def test_a_task_without_a_vm(tmp_path: Path, inside: str) -> None:
    """Elements of a VM that are empty or 0, as files of 2009 have them, make no VM."""
    assert task_of(tmp_path, f"<application>a</application>{inside}").vm is None


def test_empty_names_of_files_are_none(tmp_path: Path) -> None:
    """As in 2009, an empty element copies nothing."""
    vm = vm_of(tmp_path, "<copy_file_to_VM></copy_file_to_VM><copy_file_from_VM/><image></image>")
    assert vm == VirtualMachine("vm")


@pytest.mark.parametrize(
    "name", ["a", "./a", "a b", "a/b.c", "..a", "a..b", "a.", ".hidden", "a//b", "caf\u00e9", "ab:c"]
)
@pytest.mark.parametrize("element", ["copy_file_to_VM", "copy_file_from_VM", "image"])
def test_names_that_stay_inside(tmp_path: Path, element: str, name: str) -> None:
    """A name of the slot may have directories, dots and spaces."""
    vm = vm_of(tmp_path, f"<{element}>{name}</{element}>")
    assert name in (vm.image, *vm.files_in, *vm.files_out)


@pytest.mark.parametrize(
    "element",
    [
        *("copy_file_to_VM", "copy_file_from_VM", "image", "stdin_filename", "stdout_filename", "stderr_filename"),
        "fraction_done_filename",
    ],
)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "is absolute"),
        ("..", "leaves its directory"),
        ("../other/file", "leaves its directory"),
        ("a/../../b", "leaves its directory"),
        ("a/.. /b", "leaves its directory"),
        ("...", "leaves its directory"),
        ("a\\b", "has a backslash"),
        ("..\\b", "has a backslash"),
        ("C:b", "names a drive"),
        ("c:/b", "names a drive"),
        (".", "is a directory's name"),
        ("a/", "is a directory's name"),
        ("a&#10;b", "has a control character"),
    ],
)
def test_names_that_lead_outside(tmp_path: Path, element: str, name: str, why: str) -> None:
    """No name of a VM's task leads out of the slot, on any operating system."""
    error = refused(tmp_path, in_vm(f"<{element}>{name}</{element}>"))
    assert why in str(error)
    assert (error.line, error.exit_code) == (5, EXIT_BAD_FILE)


@pytest.mark.parametrize("element", ["application", "app_pathVM"])
def test_names_of_a_copied_program_stay_inside(tmp_path: Path, element: str) -> None:
    """A program that is copied has a name in the slot, and one in the VM's served directory."""
    inside = f"<virtualmachine>v</virtualmachine><{element}>/bin/sh</{element}>"
    assert task_of(tmp_path, inside).program == "/bin/sh"
    assert "is absolute" in str(refused(tmp_path, in_task(inside + "<copy_app_to_VM/>")))


@pytest.mark.parametrize(
    "inside",
    [
        *("<memory_mb>much</memory_mb>", "<memory_mb></memory_mb>", "<memory_mb/>", "<memory_mb>1.5</memory_mb>"),
        *("<memory_mb>0</memory_mb>", "<memory_mb>-512</memory_mb>", "<memory_mb>99999999</memory_mb>"),
        *("<memory_mb>0512</memory_mb>", "<memory_mb>4294967808</memory_mb>", "<cpus>-1</cpus>", "<cpus>257</cpus>"),
        *("<cpus>4294967297</cpus>", "<cpus><b/>2</cpus>", "<cpus>2", "<cpus>2</memory_mb>"),
        *("<network>yes</network>", "<network></network>", "<network>2</network>", "<network>true</network>"),
        *("<copy_app_to_VM>yes</copy_app_to_VM>", "<copy_stdin_to_VM>on</copy_stdin_to_VM>"),
        *("<checkpoint_interval>-1</checkpoint_interval>", "<checkpoint_interval>nan</checkpoint_interval>"),
        *("<checkpoint_interval>often</checkpoint_interval>", "<checkpoint_interval>inf</checkpoint_interval>"),
        *("<permit_emulation>maybe</permit_emulation>", "<copy_file_to_VM><b>a</b></copy_file_to_VM>"),
        "<copy_file_to_VM>a<!-- c -->b</copy_file_to_VM>",
    ],
)
def test_wrong_types(tmp_path: Path, inside: str) -> None:
    """In a VM's element a wrong type is no default, but the end."""
    error = refused(tmp_path, in_vm(inside))
    assert (error.line, error.exit_code) == (5, EXIT_BAD_FILE)
    assert error.remedy


@pytest.mark.parametrize("label", ["a/b", "a\\b", "*", "vm?", "[a]", "x" * 65, "a&#9;b"])
def test_labels_that_cannot_be(tmp_path: Path, label: str) -> None:
    """A label becomes part of the VM's name, and is no pattern."""
    error = refused(tmp_path, in_task(f"<application>a</application>\n<virtualmachine>{label}</virtualmachine>"))
    assert "1 to 64 characters" in str(error)
    assert error.line == 4


@pytest.mark.parametrize("label", ["a", "VM 1.2.3", "CernVM", "x" * 64, "caf\u00e9", "a:b"])
def test_labels_that_can_be(tmp_path: Path, label: str) -> None:
    """Spaces, dots and letters of any language."""
    task = task_of(tmp_path, f"<application>a</application><virtualmachine>{label}</virtualmachine>")
    assert task.vm is not None
    assert task.vm.label == label


@pytest.mark.parametrize(
    ("document", "line", "words"),
    [
        (in_task("<application>a</application>\n<copy_app_to_VM>1</copy_app_to_VM>"), 4, "no <virtualmachine>"),
        (in_task("<application>a</application>\n<memory_mb>512</memory_mb>"), 4, "no <virtualmachine>"),
        (in_task("<application>a</application>\n<copy_file_to_VM>f</copy_file_to_VM>"), 4, "no <virtualmachine>"),
        (in_task("<application>a</application>\n<network/>"), 4, "no <virtualmachine>"),
        (in_vm("<daemon/>"), 5, "this one is both"),
        (in_vm("<copy_stdin_to_VM/>"), 5, "no <stdin_filename>"),
        (in_task("<virtualmachine>v</virtualmachine>"), 2, "what to run"),
        (in_task("<virtualmachine>v</virtualmachine><app_pathVM>b</app_pathVM><copy_app_to_VM/>"), 3, "to copy"),
        (in_vm("<memory_mb>512</memory_mb>\n<memory_mb>1024</memory_mb>"), 6, "contradicts the one of line 5"),
        (in_vm("<virtualmachine>other</virtualmachine>"), 5, "contradicts the one of line 3"),
        (in_vm("<stdout_filename>o</stdout_filename>\n<copy_file_from_VM>o</copy_file_from_VM>"), 6, "overwrite"),
        (in_vm("<copy_file_from_VM>job.xml</copy_file_from_VM>"), 5, "BOINC's own file"),
        (in_vm("<copy_file_from_VM>./Init_Data.xml</copy_file_from_VM>"), 5, "BOINC's own file"),
        (in_vm("<stdout_filename>o</stdout_filename>\n<copy_file_from_VM>./o</copy_file_from_VM>"), 6, "overwrite"),
        (in_vm("<stdout_filename>job.xml</stdout_filename>"), 5, "BOINC's own file"),
        (in_vm("<stderr_filename>stderr.txt</stderr_filename>"), 5, "BOINC's own file"),
        (in_vm("<fraction_done_filename>wrapper_vm.json</fraction_done_filename>"), 5, "BOINC's own file"),
        (in_job("<unzip_task>\n<virtualmachine>v</virtualmachine></unzip_task>"), 3, "runs on the host"),
        (in_job("<VMmanage_task>\n<virtualmachine>v</virtualmachine></VMmanage_task>"), 3, "runs on the host"),
    ],
)
def test_contradictions(tmp_path: Path, document: str, line: int, words: str) -> None:
    """Two elements that cannot both be meant end the job, with the line of the one to change."""
    error = refused(tmp_path, document)
    assert words in str(error)
    assert (error.line, error.exit_code) == (line, EXIT_BAD_FILE)


def two_tasks(first: str, second: str) -> str:
    """Two tasks, in a VM with the same label."""
    common = "<virtualmachine>v</virtualmachine><application>a</application>"
    return in_job(f"<task>{common}\n{first}</task>\n<task>{common}\n{second}</task>")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<memory_mb>1024</memory_mb>", ""),
        ("", "<memory_mb>1024</memory_mb>"),
        ("<memory_mb>1024</memory_mb>", "<memory_mb>1024</memory_mb>"),
    ],
)
def test_tasks_share_a_vm(tmp_path: Path, first: str, second: str) -> None:
    """What one task says of the VM holds for each task with its label; files and checkpoints are each one's own."""
    second += "<copy_file_to_VM>f</copy_file_to_VM><checkpoint_interval>1</checkpoint_interval>"
    tasks = job_of(tmp_path, two_tasks(first, second)).tasks
    assert [task.vm and task.vm.memory_mb for task in tasks] == [1024, 1024]
    assert [task.vm and task.vm.files_in for task in tasks] == [(), ("f",)]
    assert [task.vm and task.vm.checkpoint_interval for task in tasks] == [900, 1]


@pytest.mark.parametrize(
    ("element", "one", "other"),
    [("memory_mb", 512, 1024), ("cpus", 1, 2), ("network", 0, 1), ("image", "a", "b"), ("permit_emulation", 1, 0)],
)
def test_tasks_that_disagree_about_their_vm(tmp_path: Path, element: str, one: Any, other: Any) -> None:
    """One VM cannot have two shapes."""
    document = two_tasks(f"<{element}>{one}</{element}>", f"<{element}>{other}</{element}>")
    error = refused(tmp_path, document)
    assert "contradicts line 3" in str(error)
    assert error.line == 5


def test_the_first_problem_of_the_file_is_told(tmp_path: Path) -> None:
    """Of several, the error names the one that comes first."""
    error = refused(tmp_path, in_vm("<cpus>x</cpus>\n<copy_file_to_VM>/a</copy_file_to_VM>\n<daemon/>"))
    assert error.line == 5


def test_a_sound_vm_has_no_problems(tmp_path: Path) -> None:
    """Nothing is said of a task in a VM that is as it should be."""
    assert read(written(tmp_path, in_vm("<network/>"))).problems == ()
