"""How large a machine may be, and whether the host has its memory beside the other machines of this plugin."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vmcontroller.errors import BadSize
from vmcontroller.hypervisors.common import memory, proc

#: A guest with less does not get through its firmware; with more it is a mistake.
LEAST_MB, MOST_MB = 16, 1 << 20


def check_size(memory_mb: int) -> None:
    """BadSize unless a machine can be of this size at all."""
    if not LEAST_MB <= memory_mb <= MOST_MB:
        raise BadSize(f"memoryMB is {memory_mb}; it must lie between {LEAST_MB} and {MOST_MB}")


def demand(memory_mb: int, others: Iterable[tuple[int, int]]) -> None:
    """MemoryShort unless a machine of this size fits beside ``others``: (MiB, process id), 0 before it has started."""
    memory.demand(memory_mb, sum(_untouched(size, pid) for size, pid in others))


def _untouched(memory_mb: int, pid: int) -> int:
    process = proc.read(pid) if pid else None
    if pid and not process:
        return 0
    touched = process.pages * os.sysconf("SC_PAGE_SIZE") >> 20 if process else 0
    return memory.untouched_mb(memory_mb, touched)
