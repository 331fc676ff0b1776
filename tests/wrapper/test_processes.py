"""Families of processes, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wrapper.harness import alive, wait_for
from wrapper import processes
from wrapper.processes import Process, Termination, family


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that leads a group, with a child, and with one that has lost its parent."""
    script = "(sleep 600 & echo $! > orphan); sleep 600 & echo $! > child; echo > ready; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], cwd=tmp_path, process_group=0) as process:
        wait_for((tmp_path / "ready").exists)
        yield process
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def pid_in(path: Path) -> int:
    return int(path.read_text())


def test_a_family_is_the_tree_and_the_group(shell: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The group has what lost its parent; the tree alone has not."""
    orphan, child = pid_in(tmp_path / "orphan"), pid_in(tmp_path / "child")
    everything = {process.pid for process in family(processes.running(), [shell.pid])}
    assert everything == {shell.pid, child, orphan}
    tree = {process.pid for process in family(processes.running(), [shell.pid], groups=False)}
    assert tree == {shell.pid, child}


def test_proc_and_ps_agree(shell: subprocess.Popen[bytes]) -> None:
    """Where there is no /proc, ps tells the same."""
    proc = {p.pid: p for p in processes._from_proc()}[shell.pid]
    ps = {p.pid: p for p in processes._from_ps()}[shell.pid]
    assert (proc.parent, proc.group, proc.zombie) == (ps.parent, ps.group, ps.zombie) == (os.getpid(), shell.pid, False)


@pytest.mark.parametrize(("text", "seconds"), [("0:01.25", 1.25), ("01:02:03", 3723.0), ("2-00:00:01", 172801.0)])
def test_the_times_of_ps(text: str, seconds: float) -> None:
    """In the forms of Linux and of macOS."""
    assert processes._seconds(text) == seconds


def test_a_name_may_look_like_anything() -> None:
    """The second field of /proc/PID/stat is the program's name, parentheses and all."""
    stat = "7 (a) R (b)) S 1 5 3 0 -1 0 0 0 0 0 250 50 100 0 39 19 1 0 4711 0"
    assert processes._from_stat(7, stat, 100) == Process(7, 1, 5, 4.0, "4711")


def test_cpu_seconds_count_children_that_were_waited_for() -> None:
    """A shell's finished programs are part of its task."""
    script = "python3 -S -c 'import time\nwhile time.process_time() < 0.2: pass'; echo done; read x"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert 0.15 <= processes.cpu_seconds(process.pid) < 2.0


def test_a_termination_leaves_nobody(shell: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """At once where all obey; a pid that another process got meanwhile is not touched."""
    termination = Termination([shell.pid], time.monotonic)
    wait_for(lambda: termination.step() and shell.poll() is not None)
    assert alive([pid_in(tmp_path / "orphan"), pid_in(tmp_path / "child")]) == []


def test_hurry_kills(tmp_path: Path) -> None:
    """Whoever ignores SIGTERM has no grace then."""
    with subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; echo; sleep 600"], process_group=0, stdout=-1) as process:
        assert process.stdout
        process.stdout.readline()
        termination = Termination([process.pid], time.monotonic, grace=600.0)
        assert not termination.step()
        termination.hurry()
        wait_for(lambda: termination.step() and process.poll() is not None)


def test_signals_to_who_is_gone_are_no_error() -> None:
    """Processes end whenever they like."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    processes.send([process.pid], signal.SIGTERM)
