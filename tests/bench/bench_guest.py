"""The guest agent alone, driven over its door by a scripted host: what it weighs, at rest and with use."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.table import Row
from tests.vmcontroller_guest.host import AgentProcess, Host, agent
from vmcontroller.wire.words import CmdAck, CmdResults

IDLE = 30.0
MOST_MEMORY, MOST_IDLE = 40.0, 0.1


def run() -> list[Row]:
    """The rows of this measurement."""
    with tempfile.TemporaryDirectory() as home, agent(Path(home)) as guest:
        host = Host.dial(guest.ports["door"])
        host.join()
        rows = [_memory(guest, "when it has joined"), _idle(guest, "when it has joined")]
        rows.append(_round_trip(host))
        rows += [_memory(guest, "after 200 commands"), _side_by_side(host)]
        rows += [_memory(guest, "after 50 more side by side"), _idle(guest, "after all that")]
        return rows


def _memory(guest: AgentProcess, when: str) -> Row:
    mebibytes = guest.status("VmRSS") / 1024
    return Row(f"guest agent, resident {when}", "MiB", mebibytes, target="at most 40", met=mebibytes <= MOST_MEMORY)


def _idle(guest: AgentProcess, when: str) -> Row:
    """Processor time from the scheduler's own account, which counts nanoseconds."""

    def used() -> float:
        return int(Path(f"/proc/{guest.process.pid}/schedstat").read_text().split()[0]) / 1e9

    before = used()
    time.sleep(IDLE)
    per_cent = 100 * (used() - before) / IDLE
    return Row(f"guest agent, idle {when}", "% of a core", per_cent, target="at most 0.1", met=per_cent <= MOST_IDLE)


def _round_trip(host: Host) -> Row:
    def command(number: int) -> None:
        host.run(f"c{number}", "/bin/true")
        host.result(f"c{number}")

    def bare(number: int) -> None:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

    ours, theirs = _median(command), _median(bare)
    return Row("/bin/true through the agent's door, p50", "ms", ours, "posix_spawn", theirs)


def _median(act: Callable[[int], None], count: int = 200) -> float:
    times = []
    for number in range(count):
        began = time.perf_counter()
        act(number)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def _side_by_side(host: Host, count: int = 50) -> Row:
    began = time.perf_counter()
    for number in range(count):
        host.run(f"s{number}", "/bin/sh", "-c", "echo begun; sleep 0.2; echo done")
    for _ in range(count):
        results = host.expect(CmdResults, timeout=60)
        host.say(CmdAck(results.cmd_id, "results"))
    return Row(f"{count} commands of 0.2 s side by side", "s", time.perf_counter() - began)
