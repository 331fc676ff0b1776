"""``make demo`` for real: every program of ours takes part, and afterwards nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.job_xml import pythia

ROOT = Path(__file__).parents[2]
PHASES = ["daemon", "create", "start", "hello", "copyIn", "run", "copyOut", "cleanUp", "done"]
PATIENCE = 300.0


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process of its own; whatever it makes, it makes in the directory."""
    command = [sys.executable, "-m", "job_xml.examples.demo", *arguments]
    environment = os.environ | {"TMPDIR": str(directory), "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def left_behind(directory: Path) -> list[str]:
    """Files in the directory, and processes that were told of it."""
    files = [str(path) for path in directory.iterdir()]
    return files + [
        f"{process.pid} {process.cmdline()}" for process in psutil.process_iter() if told(process, directory)
    ]


def told(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.environ().get("TMPDIR", "").startswith(str(directory))
    except psutil.Error:
        return False


def phases(output: str) -> list[str]:
    """The phases that were shown, in their order."""
    words = [line.split() for line in output.splitlines()]
    return [line[2] for line in words if len(line) > 2 and line[1] == "s" and line[2] in PHASES]


def test_the_second_example_goes_all_the_way(tmp_path: Path) -> None:
    """Each phase once and in order, the program's own words, the plot, the numbers, and nothing left."""
    scratch, kept = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    with demo(scratch, "--example", "python", "--keep", str(kept), "--", "--sweeps", "60") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert phases(output) == PHASES
    assert "T = 3.5: energy" in output
    assert "magnetisation   • exact" in output
    assert "What each phase took" in output
    assert len(json.loads((kept / "result.json").read_text())["comparisons"]) == 5
    assert left_behind(scratch) == []


def test_the_physics_job_goes_all_the_way(tmp_path: Path) -> None:
    """With real PYTHIA: its wheel goes into the VM, the numbers come back beside ALICE's."""
    pythia.wheel()
    with demo(tmp_path, "--cache", str(pythia.CACHE), "--", "--events", "200") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert phases(output) == PHASES
    assert "200 of 200 collisions" in output
    assert "5.31 ± 0.18" in output
    assert "6.46 ± 0.19" in output
    assert left_behind(tmp_path) == []


def test_a_program_that_fails_is_reported_with_its_own_words(tmp_path: Path) -> None:
    """The wrapper's exit code, and what the program wrote to its standard error."""
    with demo(tmp_path, "--example", "python", "--", "--sweeps", "1") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 195, output
    assert "--sweeps 1 is less than 20" in output
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("phase", ["daemon", "start", "run"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, phase: str) -> None:
    """At any moment; the exit code is that of an interrupted program."""
    with demo(tmp_path, "--example", "python") as process:
        assert process.stdout
        shown = next(line for line in process.stdout if phases(line) == [phase])
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, shown + rest
    assert "Interrupted." in rest
    assert left_behind(tmp_path) == []


def test_output_that_nobody_reads_leaves_nothing(tmp_path: Path) -> None:
    """As with ``make demo | head``."""
    with demo(tmp_path, "--example", "python") as process:
        assert process.stdout
        for line in process.stdout:
            if phases(line) == ["start"]:
                break
        process.stdout.close()
        process.wait(PATIENCE)
    assert left_behind(tmp_path) == []
