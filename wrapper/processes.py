"""The host's processes: what a task started, what it uses, and how it is ended for certain.

A task is the tree below its first process, and everything in that process's group: a program that outlives its
parent stays in the group. On Windows none of this is known, and the task is its first process alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds between SIGTERM to a task's first process and to all of it (the stock wrapper's), and then to SIGKILL.
GRACE = 10.0
LAST_GRACE = 2.0


@dataclass(frozen=True)
class Process:
    """One process. ``cpu`` is in seconds, with that of the children it has waited for; ``born`` tells pids apart."""

    pid: int
    parent: int
    group: int
    cpu: float
    born: str
    zombie: bool = False


def running() -> dict[int, Process]:
    """Every process that this user may see, by pid."""
    if os.path.exists("/proc/self/stat"):
        found = _from_proc()
    elif os.name == "posix":
        found = _from_ps()
    else:
        found = iter(())
    return {process.pid: process for process in found}


def _from_proc() -> Iterator[Process]:
    tick = os.sysconf("SC_CLK_TCK")
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            yield _from_stat(int(entry), stat, tick)


def _from_stat(pid: int, stat: str, tick: int) -> Process:
    # The second field is the program's name and may hold anything, even a parenthesis: proc(5).
    fields = stat.rpartition(")")[2].split()
    cpu = sum(map(int, fields[11:15])) / tick
    return Process(pid, int(fields[1]), int(fields[2]), cpu, fields[19], fields[0] == "Z")


def _from_ps() -> Iterator[Process]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,time=,lstart="]
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        pid, parent, group, state, cpu, born = line.split(None, 5)
        yield Process(int(pid), int(parent), int(group), _seconds(cpu), born, state.startswith("Z"))


def _seconds(text: str) -> float:
    """Seconds in what ps calls a time: ``[days-][hours:]minutes:seconds``."""
    days, _, clock = text.rpartition("-")
    total = 0.0
    for part in clock.split(":"):
        total = total * 60 + float(part)
    return total + 86400 * int(days or 0)


def family(processes: dict[int, Process], roots: Iterable[int], groups: bool = True) -> set[Process]:
    """Of ``processes`` the roots, all that descend from them and, with ``groups``, all in groups that they lead."""
    wanted = set(roots)
    members = {p for p in processes.values() if p.pid in wanted or (groups and p.group in wanted)}
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    waiting = list(members)
    while waiting:
        new = [child for child in children.get(waiting.pop().pid, ()) if child not in members]
        members.update(new)
        waiting.extend(new)
    return members


def cpu_seconds(root: int) -> float:
    """What a task has used up to now, user and system together; 0 where it cannot be known."""
    return sum(process.cpu for process in family(running(), [root]))


def send(pids: Iterable[int], number: int) -> None:
    """A signal to processes, those that are gone or not ours left out."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


class Termination:
    """The end of whole tasks, without waiting: ask the first processes, then all, then ask nobody.

    All are asked when the first processes have gone, or the grace is over. Stopped processes are let go on, so that
    they can end. ``clock`` gives monotonic seconds.
    """

    def __init__(self, roots: Iterable[int], clock: Callable[[], float], grace: float = GRACE) -> None:
        self._roots = set(roots)
        self._clock = clock
        self._all_at = clock() + grace
        self._kill_at = self._all_at + LAST_GRACE
        self._asked_all = False
        self._known: set[tuple[int, str]] = set()
        members = self._members()
        send(self._roots & members if os.name == "posix" else self._roots, signal.SIGTERM)
        send(members, getattr(signal, "SIGCONT", 0))

    def hurry(self) -> None:
        """No more grace."""
        self._kill_at = self._clock()

    def step(self) -> bool:
        """Whether all is gone. Called again and again; does what is due by now."""
        members = self._members()
        if self._clock() >= self._kill_at:
            send(members, getattr(signal, "SIGKILL", signal.SIGTERM))
        elif not self._asked_all and (self._clock() >= self._all_at or not self._roots & members):
            self._asked_all = True
            send(members, signal.SIGTERM)
        return not members

    def _members(self) -> set[int]:
        """Who is left: a process stays one of ours when its parent and its group's leader are gone."""
        processes = running()
        family_now = family(processes, self._roots)
        known = {p for p in processes.values() if (p.pid, p.born) in self._known}
        members = {p for p in family_now | family(processes, {p.pid for p in known}) if not p.zombie}
        self._known |= {(p.pid, p.born) for p in members}
        return {p.pid for p in members}
