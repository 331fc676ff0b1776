"""Files put into a guest and got out of it, beside scp and qemu-guest-agent, to and from the guest's disk."""

from __future__ import annotations

import filecmp
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.table import Row
from tests.bench.vm.peers import guest_agent, ssh
from tests.bench.vm.place import VM, Place

MIB = 1 << 20
SIZE_MB, SIZE_AGENT_MB = 256, 64
ROUNDS = 3
LEAST = 4
#: What is served is this directory in the guest.
SERVED = "/srv/vmcontroller"


def run(place: Place) -> list[Row]:
    """Ours and scp take turns with 256 MiB; the guest agent reads 64."""
    source, back = place.scratch / "source", place.scratch / "back"
    with source.open("wb") as file:
        for _ in range(SIZE_MB):
            file.write(os.urandom(MIB))
    rates: list[tuple[float, ...]] = []
    with place.guest() as folder, ssh(place, folder) as remote:
        for _ in range(ROUNDS):
            put = _rate(lambda: _ours(place, "cpFileToVM", str(source), "ours"))
            get = _rate(lambda: _ours(place, "cpFileFromVM", "ours", str(back)))
            _compare(source, back)
            scp_put = _rate(lambda: remote.put(source, f"{SERVED}/theirs"))
            scp_get = _rate(lambda: remote.get(f"{SERVED}/theirs", back))
            _compare(source, back)
            rates.append((put, get, scp_put, scp_get))
        place.home.shell(VM, f"head -c {SIZE_AGENT_MB * MIB} ours > part")
        with guest_agent(place, folder) as agent:
            read = _rate(lambda: agent.read(f"{SERVED}/part"), SIZE_AGENT_MB)
    source.unlink()
    return _rows(read, *(statistics.median(column) for column in zip(*rates, strict=True)))


def _rows(read: float, put: float, get: float, scp_put: float, scp_get: float) -> list[Row]:
    target = f"at least {LEAST} times"
    return [
        Row("file into the guest, 256 MiB", "MiB/s", put, "scp", scp_put, target, put >= LEAST * scp_put),
        Row("file out of the guest, 256 MiB", "MiB/s", get, "scp", scp_get, target, get >= LEAST * scp_get),
        Row("file out of the guest, 256 MiB", "MiB/s", get, "guest-file-read, 64 MiB", read),
    ]


def _ours(place: Place, verb: str, source: str, target: str) -> None:
    assert place.home.call(verb, VM, source, target)[2] == 0


def _rate(action: Callable[[], object], size_mb: int = SIZE_MB) -> float:
    begun = time.perf_counter()
    action()
    return size_mb / (time.perf_counter() - begun)


def _compare(source: Path, back: Path) -> None:
    assert filecmp.cmp(source, back, shallow=False), "it came back changed"
    back.unlink()
