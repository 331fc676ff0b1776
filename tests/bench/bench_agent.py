"""What an agent costs a guest: resident memory and idle processor time, alone and after many commands."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.table import Row
from tests.loopback.house import House, house

IDLE_SECONDS = 30.0
MEGABYTE = 1e6


def run() -> list[Row]:
    """Memory fresh, after 200 commands and after 10 MB of output; processor time while nothing happens."""
    with tempfile.TemporaryDirectory() as directory, house(Path(directory) / "state") as home:
        home.vm("alpha")
        agent = home.agent("alpha")
        rows = [memory("fresh", agent)]
        for _ in range(200):
            home.result(home.run("alpha", "/bin/true"))
        rows.append(memory("after 200 commands", agent))
        home.shell("alpha", "head -c 10000000 /dev/zero")
        rows.append(memory("after 10 MB of output", agent))
        rows.append(idle("nothing runs", agent))
        sleeping = [home.run("alpha", "sleep", "1000") for _ in range(10)]
        wait_until_accepted(home, sleeping)
        rows.append(idle("10 commands sleep", agent))
    return rows


def memory(when: str, agent: psutil.Process) -> Row:
    """Resident memory now."""
    used = agent.memory_info().rss / MEGABYTE
    return Row(f"agent's memory, {when}", "MB", used, target="at most 40 MB", met=used <= 40)


def idle(when: str, agent: psutil.Process) -> Row:
    """Processor time per second of the agent alone."""
    before, start = sum(agent.cpu_times()[:2]), time.monotonic()
    time.sleep(IDLE_SECONDS)
    used = 100 * (sum(agent.cpu_times()[:2]) - before) / (time.monotonic() - start)
    return Row(f"agent's processor, {when}", "% of a core", used, target="at most 0.1 % idle", met=used <= 0.1)


def wait_until_accepted(home: House, ids: list[str]) -> None:
    """Until every command stands in the guest's journal."""
    deadline = time.monotonic() + 30
    while any(home.call("getCmdDetails", cmd_id)["parts"]["alpha"]["state"] == "sent" for cmd_id in ids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
