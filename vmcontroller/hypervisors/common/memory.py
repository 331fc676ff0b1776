"""Whether this host has the memory that a machine in a QEMU needs, asked before it is taken."""

from __future__ import annotations

from pathlib import Path

from vmcontroller.errors import MemoryShort

#: MiB that QEMU takes besides the guest's memory; most of it is for translated code.
OVERHEAD_MB = 320
#: MiB that stay the host's own.
RESERVE_MB = 128
_MEMINFO = Path("/proc/meminfo")


def demand(memory_mb: int, promised_mb: int) -> None:
    """MemoryShort unless a machine of this size fits beside what others were promised and have not touched yet.

    That is not free, though the host says so.
    """
    wanted = memory_mb + OVERHEAD_MB + RESERVE_MB
    free = available_mb() - promised_mb
    if free < wanted:
        raise MemoryShort(
            f"the machine needs {wanted} MiB of memory (with {OVERHEAD_MB + RESERVE_MB} for QEMU and the host), and"
            f" {max(0, free)} are left; give it less, or stop another VM or program"
        )


def available_mb() -> int:
    """MiB that programs can have before the host has to swap (MemAvailable, proc(5))."""
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) // 1024


def untouched_mb(memory_mb: int, touched_mb: int) -> int:
    """MiB of its memory that a QEMU has still to take."""
    return max(0, memory_mb + OVERHEAD_MB - touched_mb)
