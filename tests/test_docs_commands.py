"""What the documentation tells people to type works: each block, in its order, as somebody new to it would type it.

Blocks of ``sh`` and ``python`` are run, of ``console`` compared with what they show, of ``xml`` checked. A block that
cannot be run here says why in a comment above it: ``<!-- not run by the tests: … -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from job_xml.lint import lint
from job_xml.problems import Severity
from tests.loopback.house import DEADLINE, wait_for
from vmcontroller import client
from vmcontroller.errors import NotRunning

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix, the blocks a shell")

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md")), *(ROOT / "docs/tutorial").glob("*.md")]
BLOCK = re.compile(r"^(?:<!-- not run by the tests: (.+?) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    "vmcontroller": "vmcontroller",
    "vmwrapper": "wrapper",
    "job-xml": "job_xml",
}
#: Programs of others that blocks use, and the Debian package that has them.
TOOLS = {"jq": "jq", "curl": "curl"}


@dataclass(frozen=True)
class Block:
    """A block of a page. ``why_not`` it is run, "" if it is."""

    page: Path
    line: int
    language: str
    text: str
    why_not: str

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, whatever their language."""
    text = page.read_text(encoding="utf-8")
    found = BLOCK.finditer(text)
    return [Block(page, text[: b.start(2)].count("\n") + 1, b[2], b[3], b[1] or "") for b in found]


ALL = [block for page in PAGES for block in blocks(page)]


class Visitor:
    """Somebody who has the commands on the PATH, a home of his own, and the files that the page speaks of."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.here = directory / "here"
        self._commands = directory / "bin"
        for made in (self.home, self.here, self._commands):
            made.mkdir()
        for name, module in PROGRAMS.items():
            self._command(name, f'-m {module} "$@"')
        self._command("python", '"$@"')
        (self.here / "job_xml").symlink_to(ROOT / "job_xml")

    def _command(self, name: str, arguments: str) -> None:
        script = self._commands / name
        script.write_text(f"#!/bin/sh\nexec '{sys.executable}' {arguments}\n")
        script.chmod(0o755)

    def types(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run one block from its first line to its last, or to the first that fails."""
        command = {"sh": ["bash", "-euo", "pipefail", "-c", block.text], "python": [sys.executable, "-c", block.text]}
        return self._run(command[block.language])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("VMCONTROLLER_", "XDG_"))}
        path = f"{self._commands}{os.pathsep}{os.environ['PATH']}"
        own = {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT)}
        # Files and not pipes: a daemon that a block starts may hold them open for as long as it lives.
        with (self.here.parent / "output").open("w+", encoding="utf-8") as output:
            ran = subprocess.run(
                command,
                cwd=self.here,
                env=kept | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=DEADLINE,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(command, ran.returncode, output.read())

    def shows(self, line: str) -> str:
        """What a line of shell prints, whether it succeeds or not."""
        return self._run(["bash", "-c", line]).stdout

    def leave(self) -> None:
        """Stop every daemon that lives in the home, with its VMs, and see it go."""
        for address in self.home.rglob("daemon.json"):
            with suppress(NotRunning), client.connect(address.parent, timeout=DEADLINE) as daemon:
                for vm in daemon.call("listVMs"):
                    daemon.call("removeVM", vm)
                daemon.call("stopDaemon", False)
        wait_for(lambda: not self.processes(), f"processes left: {self.processes()}")

    def processes(self) -> list[str]:
        """The command lines of programs that were told of the home."""
        lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        return [line for line in lines if str(self.home) in line]


@contextmanager
def visitor(directory: Path) -> Iterator[Visitor]:
    """Comes, and leaves nothing."""
    made = Visitor(directory)
    try:
        yield made
    finally:
        made.leave()


def furnish(here: Path) -> None:
    """The files that blocks speak of: a program with its input, a list of VMs, and some job.xml files."""
    program = here / "simulate"
    program.write_text('#!/bin/sh\ncat\necho "$@" events/*\necho 1 2 3 > histograms\n')
    program.chmod(0o755)
    (here / "events").mkdir()
    (here / "events" / "first").write_text("1\n")
    (here / "steering.txt").write_text("beams 13000\n")
    (here / "vms.txt").write_text("worker-1\nworker-2\n")
    (here / "templates").mkdir()
    shutil.copy(ROOT / "job_xml" / "examples" / "host" / "job.xml", here / "templates")
    (here / "job.xml").write_text(JOB)


JOB = """\
<?xml version="1.0" encoding="UTF-8"?>
<job_desc>
    <task>
        <application>watch</application>
        <daemon>true</daemon>
    </task>
    <task>
        <application>simulate</application>
        <command_line>--seed 7 > histograms</command_line>
        <wieght>2</wieght>
    </task>
</job_desc>
"""


def test_every_block_is_run_or_says_why_not() -> None:
    """A page has no commands that nobody tries: they stand in blocks, and a comment on a block has a reason."""
    for page in PAGES:
        bare = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        indented = re.findall(r"^ {4}(?:make|vmcontroller|vmwrapper|job-xml|git|cd|export) .*$", bare, re.MULTILINE)
        assert indented == [], f"{page.name}: commands outside a block of sh"
    assert {block.language for block in ALL} <= {"sh", "python", "console", "xml", "text", "toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_work(page: Path, tmp_path: Path) -> None:
    """Each block of shell and Python, one after the other; none fails."""
    todo = [block for block in blocks(page) if block.language in ("sh", "python") and not block.why_not]
    for tool, package in TOOLS.items():
        if not shutil.which(tool) and any(re.search(rf"\b{tool}\b", block.text) for block in todo):
            pytest.skip(f"needs {tool} (Debian package {package})")
    with visitor(tmp_path) as reader:
        furnish(reader.here)
        for block in todo:
            ran = reader.types(block)
            assert ran.returncode == 0, f"{block.place} failed:\n{block.text}\n{ran.stdout}"


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "console"], ids=lambda block: block.place)
def test_shown_output_is_what_comes(block: Block, tmp_path: Path) -> None:
    """``$ command`` and below it what it prints."""
    with visitor(tmp_path) as reader:
        furnish(reader.here)
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            assert reader.shows(command) == shown, block.place


@pytest.mark.parametrize("block", [b for b in ALL if "</job_desc>" in b.text], ids=lambda block: block.place)
def test_shown_jobs_have_no_errors(block: Block, tmp_path: Path) -> None:
    """Whoever copies a job.xml from a page starts with a good one."""
    (tmp_path / "job.xml").write_text(block.text)
    assert [problem for problem in lint(tmp_path / "job.xml") if problem.severity is Severity.ERROR] == []
