"""kill -9 of the daemon and of an agent in the middle of running commands: each has one outcome, and it is true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.loopback.house import DEADLINE, House, house, wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")
COMMANDS = 20


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path / "state") as lived:
        lived.vm("alpha")
        yield lived


def gate(home: House) -> str:
    """A script that prints, waits until the file ``go`` is there, and tells its number by its exit code."""
    return f"echo before $1; until [ -e {home.state}/go ]; do sleep 0.02; done; echo after $1; exit $1"


def running(home: House) -> list[str]:
    """Twenty commands, each of which has begun."""
    ids = [home.run("alpha", "/bin/sh", "-c", gate(home), "sh", str(n)) for n in range(COMMANDS)]
    for cmd_id in ids:
        assert home.call("waitForOutput", cmd_id, 0, 0, DEADLINE)["out"]
    return ids


def test_daemon_is_killed(home: House) -> None:
    """The programs run on, some end while nobody listens, and every true outcome arrives, once."""
    ids = running(home)
    home.kill_daemon()
    (home.state / "go").touch()
    home.restart()
    assert home.call("waitForVM", "alpha", DEADLINE)
    for n, cmd_id in enumerate(ids):
        result = home.result(cmd_id)
        assert (result["outcome"], result["exitCodeOrSignal"]) == ("exited", n)
        assert result["out"] == f"before {n}\nafter {n}\n"


def test_daemon_is_killed_again_and_again(home: House) -> None:
    """Commands asked for before, between and after the kills all end as they should."""
    ids = []
    for n in range(4):
        ids.append(home.run("alpha", "/bin/sh", "-c", "sleep 0.05; exit $1", "sh", str(n)))
        home.kill_daemon()
        home.restart()
        assert home.call("waitForVM", "alpha", DEADLINE)
    assert [home.result(cmd_id)["exitCodeOrSignal"] for cmd_id in ids] == [0, 1, 2, 3]


def test_agent_is_killed(home: House) -> None:
    """Every command that it watched is lost, with what it had printed, and none of its processes is left."""
    ids = running(home)
    agent = home.agent("alpha")
    theirs = agent.children(recursive=True)
    assert len(theirs) >= COMMANDS
    agent.kill()
    wait_for(lambda: home.call("getState", "alpha") == "Aborted", "the machine is not Aborted")
    assert psutil.wait_procs(theirs, DEADLINE)[1] == []
    home.call("start", "alpha")
    for n, cmd_id in enumerate(ids):
        result = home.result(cmd_id)
        assert (result["outcome"], result["finished"], result["exitCodeOrSignal"]) == ("lost", False, -1)
        assert result["out"] == f"before {n}\n"
    assert home.shell("alpha", "echo again")["out"] == "again\n"


def test_both_are_killed(home: House) -> None:
    """The daemon first, then the agent: a power cut."""
    ids = running(home)
    agent = home.agent("alpha")
    theirs = agent.children(recursive=True)
    home.kill_daemon()
    agent.kill()
    home.restart()
    assert home.call("getState", "alpha") == "Aborted"
    assert psutil.wait_procs(theirs, DEADLINE)[1] == []
    home.call("start", "alpha")
    assert {home.result(cmd_id)["outcome"] for cmd_id in ids} == {"lost"}


def test_snapshot_holds_the_directory(home: House) -> None:
    """After a restore of a directory what ran is lost, what had ended stands, and what came later was rolled back."""
    ended = home.run("alpha", "/bin/sh", "-c", "echo one > file")
    home.result(ended)
    held = home.run("alpha", "sleep", "1000")
    wait_for(lambda: home.call("getCmdDetails", held)["parts"]["alpha"]["state"] == "accepted", "not accepted")
    home.call("takeSnapshot", "alpha", "here")
    assert home.call("listSnapshots", "alpha")[0]["commands"] == [held]
    assert home.call("waitForVM", "alpha", DEADLINE)
    later = home.run("alpha", "/bin/sh", "-c", "echo two > file; sleep 1000")
    wait_for(lambda: home.call("getCmdDetails", later)["parts"]["alpha"]["state"] == "accepted", "not accepted")
    home.call("powerOff", "alpha")
    home.call("restoreSnapshot", "alpha", "here")
    home.call("start", "alpha")
    assert home.result(held)["outcome"] == "lost"
    assert home.result(later)["outcome"] == "rolledBack"
    assert home.result(ended)["outcome"] == "exited"
    assert home.shell("alpha", "cat file")["out"] == "one\n"


def test_replay(home: House) -> None:
    """A command that a restore has undone runs again if its caller wanted that."""
    home.call("takeSnapshot", "alpha", "here")
    cmd_id = home.run("alpha", "/bin/sh", "-c", gate(home), "sh", "5", replay=True)
    assert home.call("waitForOutput", cmd_id, 0, 0, DEADLINE)["out"]
    home.call("powerOff", "alpha")
    home.call("restoreSnapshot", "alpha")
    (home.state / "go").touch()
    home.call("start", "alpha")
    result = home.result(cmd_id)
    assert (result["exitCodeOrSignal"], result["out"]) == (5, "before 5\nafter 5\n")


def test_removed_vm(home: House) -> None:
    """What a removed VM had not told is lost, and the caller is told so at once."""
    cmd_id = home.run("alpha", "sleep", "1000")
    home.call("removeVM", "alpha")
    result = home.result(cmd_id)
    assert (result["outcome"], result["reason"]) == ("lost", "the VM was removed")
