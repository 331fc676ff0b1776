"""Whether the host has the memory that a machine needs, asked before it is taken."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vmcontroller.errors import BadRequest, MemoryShort
from vmcontroller.hypervisors.common import proc

#: MiB that QEMU takes besides the guest's memory; most of it is for translated code.
OVERHEAD_MB = 320
#: MiB that stay the host's own.
RESERVE_MB = 128
#: A guest with less does not get through its firmware; with more it is a mistake.
LEAST_MB, MOST_MB = 16, 1 << 20
_MEMINFO = Path("/proc/meminfo")


def check_size(memory_mb: int) -> None:
    """BadRequest unless a machine can be of this size at all."""
    if not LEAST_MB <= memory_mb <= MOST_MB:
        raise BadRequest(f"memory_mb is {memory_mb}; it must lie between {LEAST_MB} and {MOST_MB}")


def demand(memory_mb: int, others: Iterable[tuple[int, int]]) -> None:
    """MemoryShort unless a machine of this size fits beside ``others``: (MiB, process id), 0 before it has started.

    What those were promised and have not touched yet is not free, though the host says so.
    """
    wanted = memory_mb + OVERHEAD_MB + RESERVE_MB
    free = available_mb() - sum(_untouched(size, pid) for size, pid in others)
    if free < wanted:
        raise MemoryShort(
            f"the machine needs {wanted} MiB of memory (with {OVERHEAD_MB + RESERVE_MB} for QEMU and the host), and"
            f" {max(0, free)} are left; give it less, or stop another VM or program"
        )


def available_mb() -> int:
    """MiB that programs can have before the host has to swap (MemAvailable, proc(5))."""
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) // 1024


def _untouched(memory_mb: int, pid: int) -> int:
    process = proc.read(pid) if pid else None
    if pid and not process:
        return 0
    touched = process.pages * os.sysconf("SC_PAGE_SIZE") >> 20 if process else 0
    return max(0, memory_mb + OVERHEAD_MB - touched)
