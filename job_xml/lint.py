"""Every problem of a job.xml, for the person who writes it: also those that the wrapper says nothing of."""

from __future__ import annotations

import os

from job_xml import checks
from job_xml.model import Job
from job_xml.outline import Block, Entry, Outline
from job_xml.parse import Examination, examine
from job_xml.problems import Problem, Problems


def lint(path: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """All problems of a file, in its order. Whatever the file is, nothing is raised."""
    examination = examine(path)
    if examination.outline is not None:
        _look_at_all(examination, examination.outline)
    return examination.problems.all()


def _look_at_all(examination: Examination, outline: Outline) -> None:
    problems, job = examination.problems, examination.job
    for block, task in examination.tasks:
        checks.check(block, task, problems)
    if "task" not in outline.misspelt:
        _tasks(job, problems)
    _archives(outline, problems)
    _helpers(job, problems)
    _stock_wrapper(job, problems)


def _tasks(job: Job, problems: Problems) -> None:
    if not job.tasks:
        problems.warning(0, "there is no task, so the job ends at once and counts as successful", "write a <task>")
    elif not sum(task.weight for task in job.tasks):
        problems.error(0, "the weights add up to 0, and the fraction done is no number", "write a <weight> above 0")


def _archives(outline: Outline, problems: Problems) -> None:
    for block in outline.every("unzip_input"):
        if not block.entries and not block.misspelt:
            problems.warning(block.line, "<unzip_input> names no archive", "write <zipfilename>, or take it away")
    names: list[Entry] = []
    for block in outline.every("zip_output"):
        names += block.every("zipfilename")
        if not _has(block, "zipfilename"):
            problems.error(block.line, "<zip_output> makes no archive, for it names none", "write <zipfilename>")
        if not _has(block, "filename"):
            problems.error(block.line, "<zip_output> has nothing to put in", "write <filename>, a regular expression")
    for entry in names[:-1]:
        what = f"this archive is not made, because line {names[-1].line} names another and there is only one"
        problems.error(entry.line, what, "write one <zip_output>")


def _has(block: Block, name: str) -> bool:
    """Whether it is there, or was told to be misspelt."""
    return block.last(name) is not None or name in block.misspelt


def _helpers(job: Job, problems: Problems) -> None:
    if not any(task.vm for task in job.tasks):
        for task in job.vm_manage_tasks:
            what = "<VMmanage_task> is never started, for no task has a VM"
            problems.warning(task.line, what, "take it away, or name a <virtualmachine>")


def _stock_wrapper(job: Job, problems: Problems) -> None:
    """The trap that no job.xml can close by itself: the stock wrapper passes over what it does not know."""
    in_vm = next((task for task in job.tasks if task.vm), None)
    if in_vm:
        what = "the stock wrapper would run this task on the volunteer's own machine"
        problems.note(in_vm.line, what, "make sure that the app version's main program is vmwrapper")
    for task in (*job.unzip_tasks, *job.vm_manage_tasks):
        what = f"the stock wrapper passes over <{task.kind.value}>"
        problems.note(task.line, what, "for archives it has <unzip_input>, for helpers <daemon/>")
