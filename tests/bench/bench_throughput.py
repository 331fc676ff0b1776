"""Commands per second through one daemon, to 1 VM and to 50, and how the daemon's memory and processor time grow."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.bench_roundtrip import PROGRAM, bare_spawn
from tests.bench.table import Row
from tests.loopback.house import House, house

COUNT = 300


def run() -> list[Row]:
    """Many commands under way at once; then broadcasts."""
    with tempfile.TemporaryDirectory() as directory, house(Path(directory) / "state") as home:
        daemon = psutil.Process(home.address.pid)
        rows: list[Row] = []
        home.vm("vm-0")
        rows += measured(home, daemon, 1)
        home.vms(*(f"vm-{n}" for n in range(1, 50)))
        rows += measured(home, daemon, 50)
        rows.append(broadcast(home))
    return rows


def measured(home: House, daemon: psutil.Process, vms: int) -> list[Row]:
    """COUNT commands, spread over the VMs, asked for as fast as the API takes them."""
    cpu, start = sum(daemon.cpu_times()[:2]), time.monotonic()
    ids = [home.run(f"vm-{n % vms}", PROGRAM) for n in range(COUNT)]
    for cmd_id in ids:
        assert home.result(cmd_id)["exitCodeOrSignal"] == 0
    seconds = time.monotonic() - start
    spent = (sum(daemon.cpu_times()[:2]) - cpu) / COUNT * 1000
    return [
        Row(f"commands, {vms} VM" + "s" * (vms > 1), "per second", COUNT / seconds, "posix_spawn", spawns(COUNT)),
        Row(f"daemon's processor per command, {vms} VM" + "s" * (vms > 1), "ms", spent),
        Row(f"daemon's memory, {vms} VM" + "s" * (vms > 1), "MB", daemon.memory_info().rss / 1e6),
    ]


def spawns(count: int) -> float:
    """The floor: as many programs started and waited for one after the other, per second."""
    start = time.monotonic()
    for _ in range(count):
        bare_spawn()
    return count / (time.monotonic() - start)


def broadcast(home: House) -> Row:
    """One message to fifty VMs, fifty results back."""
    start = time.monotonic()
    for _ in range(5):
        assert len(home.result(home.run("vm-*", PROGRAM))) == 50
    rate = 250 / (time.monotonic() - start)
    return Row("results of broadcasts to 50 VMs", "per second", rate, "posix_spawn", spawns(250))
