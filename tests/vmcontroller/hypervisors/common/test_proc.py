"""What /proc says, and that a process id that was given out again is not mistaken."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.vmcontroller.hypervisors.common.programs import SITTER, program
from vmcontroller.hypervisors.common import proc


def test_ourselves() -> None:
    """This process runs, descends from its parent and has used the processor."""
    me = proc.read(os.getpid())
    assert me
    assert (me.pid, me.parent, me.state) == (os.getpid(), os.getppid(), "R")
    assert me.pages > 0
    assert not me.ended
    assert not me.stopped


def test_any_name(tmp_path: Path) -> None:
    """A program's name may look like the fields that follow it."""
    odd = tmp_path / ") S 1 (x"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "100"]) as process:
        found = proc.read(process.pid)
        process.kill()
    assert found
    assert found.parent == os.getpid()


def test_nobody() -> None:
    """There is no process 0."""
    assert proc.read(0) is None


def test_ended_but_not_reaped() -> None:
    """A zombie has ended."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    zombie = proc.read(process.pid)
    process.wait()
    assert zombie
    assert zombie.ended


def test_reused_id() -> None:
    """A signal for an earlier process with the same id reaches nobody."""
    with program(SITTER) as pid:
        now = proc.read(pid)
        assert now
        earlier = replace(now, started=now.started - 1)
        assert proc.same(now)
        assert proc.same(earlier) is None
        proc.send(earlier, signal.SIGKILL)
        assert proc.same(now)
