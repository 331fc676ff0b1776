"""What the tests of this directory share: files made of text, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from job_xml.lint import lint
from job_xml.model import Job, Task, VirtualMachine
from job_xml.parse import read
from job_xml.problems import JobError, Problem

EXAMPLES = Path(__file__).parents[2] / "job_xml" / "examples"


def written(directory: Path, content: str | bytes) -> Path:
    """A job.xml that holds this."""
    path = directory / "job.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def in_job(inside: str) -> str:
    """A whole document."""
    return f"<job_desc>\n{inside}\n</job_desc>\n"


def in_task(inside: str) -> str:
    """A whole document with one task; what is inside starts on line 3."""
    return in_job(f"<task>\n{inside}\n</task>")


def in_vm(inside: str) -> str:
    """A whole document with one task in a VM; what is inside starts on line 5."""
    return in_task(f"<virtualmachine>vm</virtualmachine>\n<application>app</application>\n{inside}")


def job_of(directory: Path, content: str | bytes) -> Job:
    """The job in a file that says this."""
    return read(written(directory, content)).job


def task_of(directory: Path, inside: str) -> Task:
    """The only task, of which this is the inside."""
    (task,) = job_of(directory, in_task(inside)).tasks
    return task


def vm_of(directory: Path, inside: str) -> VirtualMachine:
    """The VM of the only task, of which this is the inside."""
    (task,) = job_of(directory, in_vm(inside)).tasks
    assert task.vm is not None
    return task.vm


def refused(directory: Path, content: str | bytes) -> JobError:
    """The error that a file ends in."""
    with pytest.raises(JobError) as caught:
        read(written(directory, content))
    assert "\n" not in str(caught.value)
    return caught.value


def complaints(directory: Path, content: str | bytes) -> tuple[Problem, ...]:
    """What the checker says of a file."""
    return lint(written(directory, content))


def one(problems: Iterable[Problem], words: str) -> Problem:
    """The only problem whose line holds these words."""
    found = [problem for problem in problems if words in str(problem)]
    assert len(found) == 1, [str(problem) for problem in problems]
    return found[0]
