"""All processes of a machine are found, frozen, thawed and ended, and no other one is touched."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.vmcontroller.hypervisors.common.programs import (
    DAEMONISER,
    DISOWNER,
    MARKS,
    SITTER,
    STORM,
    eventually,
    program,
)
from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common import proc, tree
from vmcontroller.hypervisors.common.tree import Tree


@pytest.fixture
def machine() -> Iterator[Tree]:
    """A machine's processes; none is left in the end."""
    ours = Tree(MARKS)
    yield ours
    ours.thaw()
    ours.kill()


def pids(machine: Tree) -> set[int]:
    return {process.pid for process in machine.members()}


def state(pid: int) -> str:
    process = proc.read(pid)
    return process.state if process else ""


@pytest.mark.parametrize("code", [SITTER, DAEMONISER, DISOWNER], ids=["child", "daemon", "without marks"])
def test_found_and_ended(machine: Tree, code: str) -> None:
    """A process that bears the marks is found, and one that descends from one that does."""
    with program(code) as pid:
        assert pid in pids(machine)
        machine.kill()
        assert machine.members() == []
        assert state(pid) in ("", "Z")


@pytest.mark.parametrize(
    "marks", [MARKS | {"VMCONTROLLER_OWNER": "others"}, MARKS | {"VMCONTROLLER_ID": "vm"}, {"XVMCONTROLLER_ID": "vm"}]
)
def test_strangers_are_left_alone(machine: Tree, marks: dict[str, str]) -> None:
    """A machine of another owner, another machine and any other process are neither frozen nor ended."""
    with program(SITTER, marks) as stranger, program(SITTER):
        machine.freeze()
        assert state(stranger) == "S"
        machine.kill()
        assert state(stranger) == "S"


def test_freeze_and_thaw(machine: Tree) -> None:
    """All processes stop, and all go on."""
    with program(SITTER) as child, program(DAEMONISER) as daemon:
        machine.freeze()
        assert (state(child), state(daemon)) == ("T", "T")
        machine.thaw()
        assert eventually(lambda: (state(child), state(daemon)) == ("S", "S"))


def test_thaw_leaves_what_was_stopped_before(machine: Tree) -> None:
    """A process that its own user had stopped stays so when the machine goes on."""
    with program(SITTER) as stopped, program(SITTER) as other:
        os.kill(stopped, signal.SIGSTOP)
        assert eventually(lambda: state(stopped) == "T")
        held = machine.stopped()
        machine.freeze()
        machine.thaw(held)
        assert eventually(lambda: state(other) == "S")
        assert state(stopped) == "T"


def test_freeze_a_storm(machine: Tree) -> None:
    """A freeze holds, though new processes are being born all the time: nothing moves and none is new afterwards."""
    with program(STORM):
        machine.freeze()
        before = machine.members()
        assert before
        assert all(process.stopped for process in before)
        assert pids(machine) == {process.pid for process in before}


def test_kill_a_storm(machine: Tree) -> None:
    """The end of a machine is the end of all, though new processes are being born all the time."""
    with program(STORM):
        machine.kill()
        assert machine.members() == []


def test_one_that_cannot_be_ended(machine: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end in time is named."""
    monkeypatch.setattr(tree, "PATIENCE", 0.05)
    monkeypatch.setattr(proc, "send", lambda process, number: None)
    with program(SITTER) as pid:
        with pytest.raises(HypervisorFailed, match=f"process {pid} cannot be ended"):
            machine.kill()
        with pytest.raises(HypervisorFailed, match=f"process {pid} cannot be stopped"):
            machine.freeze()
        monkeypatch.undo()


def test_usage(machine: Tree) -> None:
    """Processor seconds count the children that ended, memory is in octets."""
    assert machine.usage() == {"cpuSeconds": 0.0, "memoryBytes": 0.0, "processes": 0.0}
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    with program(f"subprocess.run([sys.executable, '-S', '-c', {burn!r}]); {SITTER}"):
        usage = machine.usage()
        assert 0.1 <= usage["cpuSeconds"] < 5
        assert 2**20 < usage["memoryBytes"] < 2**30
        assert usage["processes"] == 1.0
