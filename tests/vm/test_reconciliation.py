"""What ledger and journal know of a command, and what becomes of it: a real guest for each row of the table.

The table is in docs/reference/commands.md. Its rows for a command that runs through a pause, a saved state, a restore,
or the death of daemon, QEMU or agent are in test_qemu_guest.py.
"""

from __future__ import annotations

import shutil
from typing import Any

from tests.loopback.house import House, wait_for
from tests.vm.guests import awaited, gated, goes_on, let_go, out

JOURNAL = "/var/lib/vmcontroller-guest/journal.db"
#: Says whether a command behind the gate "foreign" runs.
RUNS = "grep -q 'e forei[g]n ' /proc/[0-9]*/cmdline && echo yes || echo no"


def part(home: House, cmd_id: str) -> Any:
    """Where a command stands in the ledger."""
    return home.call("getCmdDetails", cmd_id)["parts"]["guest"]


def outcome(home: House, cmd_id: str) -> Any:
    """How a command ended, once it has."""
    result = home.result(cmd_id)
    return result["outcome"], result["exitCodeOrSignal"], result["out"]


def kill_agent(home: House, then: str = "true") -> None:
    """kill -9 of the agent, from inside; ``then`` is done before the next one starts, a second later."""
    killer = home.run("guest", "/bin/sh", "-c", f"kill -9 $PPID; {then}; exec sleep 1000")
    assert outcome(home, killer)[0] in ("lost", "rolledBack")


def test_snapshot(home: House) -> None:
    """One snapshot, and a command for each way in which it can be of another time than the ledger."""
    ended = home.run("guest", "/bin/sh", "-c", "echo once; exit 7")
    assert outcome(home, ended) == ("exited", 7, "once\n")
    since, held = gated(home, "since", 5), gated(home, "held", 8)
    home.call("pause", "guest")
    unheard = home.run("guest", "/bin/sh", "-c", "echo heard; exit 4")
    home.call("takeSnapshot", "guest", "then")
    assert set(home.call("listSnapshots", "guest")[0]["commands"]) == {since, held, unheard}
    home.call("resume", "guest")
    assert outcome(home, unheard) == ("exited", 4, "heard\n")
    goes_on(home, since, "since", 5)
    kill_agent(home)
    assert outcome(home, held)[0] == "lost"
    later, again = gated(home, "later", 1), gated(home, "again", 9, replay=True)
    brief = home.run("guest", "/bin/sh", "-c", "exit 6")
    assert outcome(home, brief) == ("exited", 6, "")
    home.call("pause", "guest")
    unsent = home.run("guest", "/bin/sh", "-c", "echo heard; exit 3")
    home.call("powerOff", "guest")

    home.call("restoreSnapshot", "guest", "then")
    home.call("start", "guest")
    awaited(home, "guest")
    assert outcome(home, later)[0] == "rolledBack"  # It was begun after the snapshot.
    assert outcome(home, unsent) == ("exited", 3, "heard\n")  # It was never received: it is sent again.
    assert part(home, again)["outcome"] == ""  # It runs again, as its caller wished.
    goes_on(home, again, "again", 9)
    assert part(home, held)["outcome"] == ""  # It was lost, and the snapshot held it: it is open again.
    goes_on(home, held, "held", 8)
    let_go(home, "since")  # It ended, and runs once more: that ends, too, and changes nothing.
    wait_for(lambda: "since" not in out(home, "ls"), "the command that had ended does not end")
    assert outcome(home, since) == ("exited", 5, "before\nafter\n")
    assert [outcome(home, one)[:2] for one in (ended, unheard, brief)] == [("exited", 7), ("exited", 4), ("exited", 6)]
    home.call("deleteSnapshot", "guest", "then")


def test_journal_behind_the_ledger(home: House) -> None:
    """A guest whose disk went back, and nobody told the host, betrays it by its session: the command is rolledBack."""
    out(home, f"mkdir /root/old; cp -a {JOURNAL}* /root/old")
    kill_agent(home)  # The next session begins.
    later = gated(home, "later", 1)
    kill_agent(home, f"rm {JOURNAL}*; mv /root/old/* {JOURNAL.rpartition('/')[0]}")
    assert outcome(home, later)[0] == "rolledBack"
    assert out(home, "rmdir /root/old && echo alive") == "alive"


def test_journal_lost(home: House) -> None:
    """A guest that has forgotten everything is no guest that was rolled back: the command is lost."""
    later = gated(home, "later", 1)
    kill_agent(home, f"rm {JOURNAL}*")
    result = home.result(later)
    assert (result["outcome"], result["out"]) == ("lost", "before\n")
    assert out(home, "echo alive") == "alive"


def test_ledger_behind_the_journal(home: House) -> None:
    """A command that the ledger has never heard of is shown, runs on, and is killed by the operator's word alone."""
    ledger = home.state / "ledger.sqlite"
    home.kill_daemon()
    for file in home.state.glob("ledger.sqlite*"):
        shutil.copy(file, home.state / f"old-{file.name}")
    home.restart()
    awaited(home, "guest")
    foreign = gated(home, "foreign", 2)
    home.kill_daemon()
    for file in home.state.glob("ledger.sqlite*"):
        file.unlink()
    for file in home.state.glob("old-*"):
        file.rename(home.state / file.name.removeprefix("old-"))
    assert ledger.exists()
    home.restart()
    awaited(home, "guest")
    wait_for(lambda: home.call("listForeignCmds"), "nobody tells of the command")
    assert home.call("listForeignCmds") == [{"vm": "guest", "cmdId": foreign, "state": "running", "killed": False}]
    assert out(home, RUNS) == "yes"
    home.call("killForeignCmd", "guest", foreign)
    wait_for(lambda: not home.call("listForeignCmds"), "it is not forgotten")
    assert out(home, RUNS) == "no"
