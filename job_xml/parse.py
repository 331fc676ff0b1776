"""From a file to a Job: the one reader that the wrapper and the checker share.

What the stock wrapper lets pass is let pass and told as a problem. What it stops at, and whatever is wrong with a VM,
stops here too, before anything is started.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job_xml import standard
from job_xml.machines import machine, share
from job_xml.model import Job, Kind, Task, ZipOutput
from job_xml.outline import Block, Entry, Outline, fields_of, outline
from job_xml.problems import EXIT_FAILED, EXIT_NO_FILE, JobError, Problem, Problems, shown
from job_xml.zipping import NoPattern, pattern

#: A job.xml has some KiB; of one that has more than this many octets nothing is read.
MOST_OCTETS = 1024 * 1024


@dataclass(frozen=True)
class Reading:
    """A job, and what is wrong with its file though it can be run."""

    job: Job
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Examination:
    """A file as far as it could be understood. ``job`` means something only while ``problems`` holds no fatal one."""

    problems: Problems
    outline: Outline | None = None
    tasks: tuple[tuple[Block, Task], ...] = ()
    job: Job = Job()


def read(path: str | os.PathLike[str]) -> Reading:
    """The job in a file. JobError, with the stock wrapper's exit code, when it cannot be run."""
    examination = examine(path)
    fatal = examination.problems.fatal()
    if fatal:
        raise JobError(fatal)
    return Reading(examination.job, examination.problems.all())


def examine(path: str | os.PathLike[str]) -> Examination:
    """Everything that can be said of a file. Raises nothing for what is in it."""
    problems = Problems(os.fspath(path))
    data = _load(Path(path), problems)
    found = outline(data, problems) if data is not None else None
    if data is None or found is None:
        return Examination(problems)
    tasks = _tasks(found, problems)
    job = _job(found, [task for _, task in tasks], problems)
    standard.check(data, problems)
    return Examination(problems, found, tasks, job)


def _load(path: Path, problems: Problems) -> bytes | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            problems.refuse(0, "this is not a file", "name a job.xml")
            return None
        with path.open("rb") as file:
            data = file.read(MOST_OCTETS + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        problems.refuse(0, f"it cannot be opened ({reason})", "put a job.xml there, readable", EXIT_NO_FILE)
        return None
    if len(data) > MOST_OCTETS:
        problems.refuse(0, f"the file has more than {MOST_OCTETS} octets", "write less; a job.xml has some KiB")
        return None
    return data


# -- from the outline to the job


def _tasks(found: Outline, problems: Problems) -> tuple[tuple[Block, Task], ...]:
    blocks = found.every(*(kind.value for kind in Kind))
    tasks = [_task(block, problems) for block in blocks]
    return tuple(zip(blocks, share(blocks, tasks, problems), strict=True))


def _task(block: Block, problems: Problems) -> Task:
    values: dict[str, Any] = {"kind": Kind(block.name), "line": block.line}
    values |= fields_of(entry for entry in block.entries if not entry.element.of_vm)
    task = Task(**values)
    return replace(task, vm=machine(block, task, problems))


def _job(found: Outline, tasks: Iterable[Task], problems: Problems) -> Job:
    by_kind: dict[Kind, list[Task]] = {kind: [] for kind in Kind}
    for task in tasks:
        by_kind[task.kind].append(task)
    return Job(
        tasks=tuple(task for task in by_kind[Kind.TASK] if not task.daemon),
        daemons=tuple(task for task in by_kind[Kind.TASK] if task.daemon),
        unzip_tasks=tuple(by_kind[Kind.UNZIP_TASK]),
        vm_manage_tasks=tuple(by_kind[Kind.VM_MANAGE_TASK]),
        unzip_input=tuple(str(entry.value) for block in found.every("unzip_input") for entry in block.entries),
        zip_output=_zip_output(found.every("zip_output"), problems),
        graphics_support=bool(found.entries and found.entries[-1].value),
    )


def _zip_output(blocks: Iterable[Block], problems: Problems) -> ZipOutput | None:
    """All of them together, as the stock wrapper does: one archive, whose last name counts."""
    entries = [entry for block in blocks for entry in block.entries]
    names = [str(entry.value) for entry in entries if entry.element.name == "zipfilename"]
    patterns = [entry for entry in entries if entry.element.name == "filename"]
    for entry in patterns:
        _look_at_pattern(entry, problems)
    if not names or not names[-1]:
        return None
    return ZipOutput(names[-1], tuple(str(entry.value) for entry in patterns))


def _look_at_pattern(entry: Entry, problems: Problems) -> None:
    try:
        pattern(str(entry.value))
    except NoPattern as error:
        what = f"<filename> is {shown(str(entry.value))}, which is no ECMAScript regular expression ({error})"
        problems.refuse(entry.line, what, "mend it; a backslash makes the next character a plain one", EXIT_FAILED)
