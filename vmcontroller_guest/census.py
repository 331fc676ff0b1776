"""All processes as /proc shows them (proc(5)): who descends from whom, and which carry certain marks.

It knows no command. Linux only; elsewhere nothing is found.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat. Times are in clock ticks, with those of children that were waited for."""

    pid: int
    ended: bool
    parent: int
    group: int
    session: int
    minor_faults: int
    major_faults: int
    user: int
    system: int
    started: int


def read_stat(pid: int) -> Stat | None:
    """A process as it is now, a zombie too; None when there is none."""
    line = read_proc(f"/proc/{pid}/stat")
    if not line:
        return None
    # The program's name is in parentheses and may hold any octet.
    at = line[line.rindex(b")") + 2 :].split()
    numbers = [int(value) for value in at[1:20]]
    return Stat(
        pid=pid,
        ended=at[0] in (b"Z", b"X"),
        parent=numbers[0],
        group=numbers[1],
        session=numbers[2],
        minor_faults=numbers[6] + numbers[7],
        major_faults=numbers[8] + numbers[9],
        user=numbers[10] + numbers[12],
        system=numbers[11] + numbers[13],
        started=numbers[18],
    )


def birth(pid: int) -> str:
    """What no other process has, before or after a boot; "" when there is no such process."""
    stat = read_stat(pid)
    return f"{_boot_id()} {stat.started}" if stat else ""


def bears(pid: int, marks: Collection[bytes]) -> bool:
    """Whether a process was started with all of these (``NAME=value``) in its environment."""
    environment = read_proc(f"/proc/{pid}/environ").split(b"\0")
    return all(mark in environment for mark in marks)


def variable(pid: int, name: str) -> str:
    """A variable in the environment that a process was started with, or ""."""
    start = os.fsencode(name) + b"="
    values = (entry for entry in read_proc(f"/proc/{pid}/environ").split(b"\0") if entry.startswith(start))
    return os.fsdecode(next(values, start)[len(start) :])


class Census:
    """All processes at one moment."""

    def __init__(self) -> None:
        pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
        self.all = {pid: stat for pid in pids if (stat := read_stat(pid))}
        self._children: dict[int, list[int]] = {}
        for stat in self.all.values():
            self._children.setdefault(stat.parent, []).append(stat.pid)

    def children(self, pid: int) -> list[Stat]:
        """The children of a process, zombies too."""
        return [self.all[child] for child in self._children.get(pid, [])]

    def led_by(self, leader: int) -> set[int]:
        """Who is in the session or the process group that a process founded."""
        return {stat.pid for stat in self.all.values() if leader in (stat.session, stat.group)}

    def with_descendants(self, pids: Iterable[int]) -> set[int]:
        """These and all below them, as far as they live."""
        found: set[int] = set()
        waiting = [pid for pid in pids if pid in self.all]
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting += self._children.get(pid, [])
        return {pid for pid in found if not self.all[pid].ended}


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended, or has become another user's: then it is not ours to end


def read_proc(path: str) -> bytes:
    """A file in /proc, empty when there is none or it may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


@cache
def _boot_id() -> str:
    return read_proc("/proc/sys/kernel/random/boot_id").decode().strip()
