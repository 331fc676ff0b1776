"""Every example is a sound job that does what its comment says."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from job_xml import schema
from job_xml.lint import lint
from job_xml.parse import read
from job_xml.problems import Severity
from tests.job_xml.reading import EXAMPLES

JOBS = sorted(EXAMPLES.glob("*/job.xml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.parent.name)
def test_an_example_is_sound(path: Path) -> None:
    """Without an error or a warning, for the checker, the wrapper and the schema."""
    assert [str(problem) for problem in lint(path) if problem.severity is not Severity.NOTE] == []
    assert read(path).job.tasks
    validator = etree.XMLSchema(etree.fromstring(schema.document().encode()))
    assert validator.validate(etree.parse(path)), validator.error_log


def test_there_is_one_of_each_kind() -> None:
    """Host, chain, VM, several tasks in one VM, archives, daemon, and the style of 2009."""
    names = {path.parent.name for path in JOBS}
    assert names >= {"host", "chain", "vm", "vm-chain", "archives", "daemon", "boinc-2009"}


def test_the_host_example() -> None:
    """One task, and no VM."""
    (task,) = read(EXAMPLES / "host" / "job.xml").job.tasks
    assert task.vm is None
    assert task.time_limit == 86400


def test_the_chain_example() -> None:
    """The second task is nine tenths of the work."""
    job = read(EXAMPLES / "chain" / "job.xml").job
    assert [task.weight for task in job.tasks] == [1, 18, 1]
    assert job.fraction_done(1, 0.5) == 0.5


def test_the_vm_chain_example() -> None:
    """Two tasks share a VM that the first one describes; the third runs on the host."""
    first, second, third = read(EXAMPLES / "vm-chain" / "job.xml").job.tasks
    assert first.vm is not None
    assert second.vm is not None
    assert (second.vm.image, second.vm.memory_mb, second.vm.network) == ("analysis.qcow2", 2048, True)
    assert second.program == "bin/analyse"
    assert third.vm is None


def test_the_example_of_2009() -> None:
    """Two unzip tasks, one manager, one task in a VM and one on the host, with what was left empty left out."""
    job = read(EXAMPLES / "boinc-2009" / "job.xml").job
    assert [task.application for task in job.unzip_tasks] == ["tar", "tar"]
    assert [task.application for task in job.vm_manage_tasks] == ["python"]
    in_vm, on_host = job.tasks
    assert in_vm.vm is not None
    assert (in_vm.vm.label, in_vm.vm.image, in_vm.program) == ("CernVM", "", "./worker.py")
    assert in_vm.vm.files_in == ("in", "stdin_worker")
    assert in_vm.vm.files_out == ("out",)
    assert on_host.vm is None
