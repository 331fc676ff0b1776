"""What a job.xml means, rule by rule of the stock wrapper (its TASK::parse and parse_job_file)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from job_xml.model import Job, Kind, Task, ZipOutput
from job_xml.parse import read
from tests.job_xml.reading import in_job, in_task, job_of, one, task_of, written


def test_nothing_said(tmp_path: Path) -> None:
    """A job without tasks is a job, and an empty task has the stock defaults."""
    assert job_of(tmp_path, "<job_desc></job_desc>") == Job()
    assert task_of(tmp_path, "") == Task(line=2)


def test_everything_said(tmp_path: Path) -> None:
    """Each element of the stock wrapper reaches its field."""
    task = task_of(
        tmp_path,
        """<application>app</application> <command_line>-x 'a b'</command_line> <append_cmdline_args/>
        <stdin_filename>i</stdin_filename> <stdout_filename>o</stdout_filename> <stderr_filename>e</stderr_filename>
        <exec_dir>$PWD</exec_dir> <setenv>A=1</setenv> <setenv>B=2</setenv>
        <checkpoint_filename>c</checkpoint_filename> <fraction_done_filename>f</fraction_done_filename>
        <weight>2.5</weight> <multi_process>1</multi_process> <time_limit>60</time_limit> <priority>3</priority>
        <forward_slashes>7</forward_slashes>""",
    )
    assert task == Task(
        application="app",
        command_line="-x 'a b'",
        append_cmdline_args=True,
        stdin_filename="i",
        stdout_filename="o",
        stderr_filename="e",
        exec_dir="$PWD",
        setenv=("A=1", "B=2"),
        checkpoint_filename="c",
        fraction_done_filename="f",
        weight=2.5,
        multi_process=True,
        time_limit=60,
        priority=3,
        forward_slashes=True,
        line=2,
    )


@pytest.mark.parametrize(
    ("inside", "field", "value"),
    [
        ("<daemon></daemon>", "daemon", False),
        ("<multi_process/>", "multi_process", True),
        ("<multi_process />", "multi_process", True),
        ("<multi_process> 1 </multi_process>", "multi_process", True),
        ("<multi_process>-1</multi_process>", "multi_process", True),
        ("<multi_process>0</multi_process>", "multi_process", False),
        ("<multi_process></multi_process>", "multi_process", False),
        ("<multi_process>true</multi_process>", "multi_process", False),
        ("<multi_process/><multi_process>0</multi_process>", "multi_process", False),
        ("<priority>010</priority>", "priority", 8),
        ("<priority>0x10</priority>", "priority", 16),
        ("<priority>2 or 3</priority>", "priority", 1),
        ("<priority></priority>", "priority", 0),
        ("<priority/>", "priority", 1),
        ("<priority>4294967297</priority>", "priority", 1),
        ("<priority>99999999999999999999</priority>", "priority", 1),
        ("<weight>1e2</weight>", "weight", 100.0),
        ("<weight>heavy</weight>", "weight", 1.0),
        ("<weight></weight>", "weight", 0.0),
        ("<weight>1e999</weight>", "weight", 1.0),
        ("<weight>inf</weight>", "weight", math.inf),
        ("<weight>2<!-- two --></weight>", "weight", 2.0),
        ("<weight><b>2</b></weight>", "weight", 1.0),
        ("<weight a='b'>2</weight>", "weight", 2.0),
        ("<weight a='/b'>2</weight>", "weight", 1.0),
        ("<Weight>2</Weight>", "weight", 1.0),
        ("<application>\n  a  b\n</application>", "application", "a  b"),
        ("<application/>", "application", ""),
        ("<application></application>", "application", ""),
        ("<application>x</application><application/>", "application", ""),
        ("<application><![CDATA[ a &amp; <b> ]]></application>", "application", "a &amp; <b>"),
        ("<application>a<![CDATA[b]]></application>", "application", ""),
        ("<application>a<!-- c -->b</application>", "application", ""),
        ("<application><!-- c -->a</application>", "application", "a"),
        ("<application>a & b &foo; &lt;</application>", "application", "a & b &foo; <"),
        ("<application>caf\u00e9</application>", "application", "caf\u00e9"),
        ("<application>&#233;</application>", "application", "\udce9"),
        ("<application>a > b</application>", "application", "a > b"),
        ("<unknown><application>a</application></unknown>", "application", "a"),
        ("<unknown/>text<application>a</application>", "application", "a"),
        ("</unknown><application>a</application>", "application", "a"),
        ("<setenv>A=1</setenv><setenv/>", "setenv", ("A=1", "")),
        (f"<command_line>{'x' * 8191}</command_line>", "command_line", "x" * 8191),
        (f"<command_line>{'x' * 8192}</command_line>", "command_line", ""),
        (f"<stdin_filename>{'x' * 20000}</stdin_filename>", "stdin_filename", "x" * 20000),
    ],
)
def test_one_element(tmp_path: Path, inside: str, field: str, value: Any) -> None:
    """Types, white space, comments, references and mistakes, each as the stock wrapper takes it."""
    assert getattr(task_of(tmp_path, inside), field) == value


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    """Octets that are no UTF-8 survive as they are."""
    job = job_of(tmp_path, b"<job_desc><task><application>\xff\xfe</application></task></job_desc>")
    assert job.tasks[0].application == "\udcff\udcfe"


@pytest.mark.parametrize(
    "start",
    [
        "",
        "<?xml version='1.0' encoding='ISO-8859-1'?>\n",
        "<!-- a comment -->\n",
        "<?xml version='1.0'?><!-- a comment -->\n",
        "<?xml-model href='job.xsd'?>\n",
        " \n\t",
    ],
)
def test_how_a_file_may_start(tmp_path: Path, start: str) -> None:
    """An XML declaration, or whatever starts with ?xml, comments and white space may come first."""
    assert len(job_of(tmp_path, start + in_task("")).tasks) == 1


def test_what_follows_the_end_is_not_read(tmp_path: Path) -> None:
    """Behind </job_desc> anything may stand."""
    assert job_of(tmp_path, in_job("") + "<task></task>\0 & what not").tasks == ()


def test_tasks_and_daemons_keep_their_order(tmp_path: Path) -> None:
    """Daemons are taken out of the row of tasks."""
    names = ["a", "b", "c", "d"]
    tasks = [f"<task><application>{n}</application>{'<daemon/>' if n in 'bd' else ''}</task>" for n in names]
    job = job_of(tmp_path, in_job("\n".join(tasks)))
    assert [task.application for task in job.tasks] == ["a", "c"]
    assert [task.application for task in job.daemons] == ["b", "d"]
    assert [task.line for task in job.tasks] == [2, 4]


def test_the_other_elements_of_a_job(tmp_path: Path) -> None:
    """Archives in and out, graphics, and the two kinds of tasks that 2009 knew."""
    job = job_of(
        tmp_path,
        in_job(
            """<unzip_input><zipfilename>a</zipfilename><zipfilename>b</zipfilename></unzip_input>
            <unzip_input><zipfilename>c</zipfilename></unzip_input>
            <zip_output><filename>x</filename><zipfilename>one</zipfilename></zip_output>
            <zip_output><zipfilename>two</zipfilename><filename>y</filename></zip_output>
            <enable_graphics_support/>
            <unzip_task><application>u</application></unzip_task>
            <VMmanage_task><application>m</application></VMmanage_task>"""
        ),
    )
    assert job.unzip_input == ("a", "b", "c")
    assert job.zip_output == ZipOutput("two", ("x", "y"))
    assert job.graphics_support
    assert [(task.kind, task.application) for task in job.unzip_tasks] == [(Kind.UNZIP_TASK, "u")]
    assert [(task.kind, task.application) for task in job.vm_manage_tasks] == [(Kind.VM_MANAGE_TASK, "m")]


def test_an_archive_without_a_name_is_none(tmp_path: Path) -> None:
    """The stock wrapper makes no archive then."""
    assert job_of(tmp_path, in_job("<zip_output><filename>x</filename></zip_output>")).zip_output is None


def test_an_element_that_is_closed_wrongly_takes_its_neighbour_along(tmp_path: Path) -> None:
    """The end of a task that closed an element is gone, and the two tasks are one."""
    job = job_of(tmp_path, in_job("<task><application>a</task><task><weight>3</weight></task>"))
    assert [(task.application, task.weight) for task in job.tasks] == [("", 3.0)]


def test_a_task_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    """More text than the stock parser has room for ends a task, and the job goes on behind it."""
    too_long = f"<task><application>a</application>{'x' * 5000}</task>"
    reading = read(written(tmp_path, in_job(too_long + "<task><application>b</application></task>")))
    assert [task.application for task in reading.job.tasks] == ["b"]
    assert one(reading.problems, "left out").line == 2


def test_warnings_come_with_the_job(tmp_path: Path) -> None:
    """What is let pass is told, with its line and what to write instead."""
    reading = read(written(tmp_path, in_task("<wieght>2</wieght>\n<command_line>a & b</command_line>")))
    assert str(one(reading.problems, "wieght")).endswith(
        "job.xml:3: error: <wieght> is no element of <task>, and is ignored; did you mean <weight>?"
    )
    assert "write &amp;" in str(one(reading.problems, "well-formed"))
    assert reading.job.tasks[0].command_line == "a & b"


@pytest.mark.parametrize(
    ("weights", "done", "current", "fraction"),
    [
        ((1, 1), 0, 0.0, 0.0),
        ((1, 3), 1, 0.0, 0.25),
        ((1, 3), 1, 0.5, 0.625),
        ((1, 3), 2, 0.0, 1.0),
        ((1, 3), 9, 0.5, 1.0),
        ((0, 0), 1, 0.5, 0.0),
        ((math.inf, 1), 1, 0.5, 0.0),
        ((-1, 3), 1, 0.0, 0.0),
        ((), 0, 0.0, 0.0),
    ],
)
def test_fraction_done(weights: tuple[float, ...], done: int, current: float, fraction: float) -> None:
    """Weights make up the fraction done, and it is never anything but a number from 0 to 1."""
    job = Job(tasks=tuple(Task(weight=weight) for weight in weights))
    assert job.fraction_done(done, current) == fraction
