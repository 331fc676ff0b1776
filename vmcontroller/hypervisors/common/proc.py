"""What Linux says of processes, read from /proc (proc(5)); knows nothing of machines.

A process is named by its id and its time of birth, so that an id that was given out again is never mistaken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _PARENT, _CPU_TIMES, _STARTED, _PAGES = 0, 1, slice(11, 15), 19, 21


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat.

    ``started`` is in clock ticks since the host's boot. ``cpu_ticks`` counts what its ended children used, too.
    ``pages`` are in memory now. ``state`` is proc(5)'s letter.
    """

    pid: int
    parent: int
    started: int
    state: str
    cpu_ticks: int
    pages: int

    @property
    def ended(self) -> bool:
        """It runs no more, though its parent may not have taken note."""
        return self.state in "ZXx"

    @property
    def stopped(self) -> bool:
        """A signal or a debugger has stopped it."""
        return self.state in "Tt"

    @property
    def birth(self) -> tuple[int, int]:
        """What no other process has before the host boots again."""
        return self.pid, self.started


def read(pid: int) -> Process | None:
    """The process as it is now, or None when there is none."""
    fields = _stat(_PROC / str(pid))
    if not fields:
        return None
    return Process(
        pid=pid,
        parent=int(fields[_PARENT]),
        started=int(fields[_STARTED]),
        state=fields[_STATE].decode(),
        cpu_ticks=sum(map(int, fields[_CPU_TIMES])),
        pages=int(fields[_PAGES]),
    )


def _stat(folder: Path) -> list[bytes]:
    try:
        line = (folder / "stat").read_bytes()
    except OSError:
        return []
    # The program's name stands in parentheses and may hold any octet, a parenthesis too.
    return line[line.rindex(b")") + 2 :].split()


def every() -> Iterator[Process]:
    """All processes of this host that can be seen."""
    for name in os.listdir(_PROC):
        if name.isdecimal() and (process := read(int(name))):
            yield process


def same(process: Process) -> Process | None:
    """This very process as it is now, or None when it is no more."""
    now = read(process.pid)
    return now if now and now.birth == process.birth and not now.ended else None


def still(process: Process) -> bool:
    """Whether none of its threads runs a program: stopped, or deep in the kernel where a signal awaits it."""
    tasks = _PROC / str(process.pid) / "task"
    try:
        states = [_stat(tasks / thread)[_STATE : _STATE + 1] for thread in os.listdir(tasks)]
    except OSError:
        return True
    return all(state in ([], [b"T"], [b"t"], [b"D"], [b"Z"], [b"X"]) for state in states)


def has(process: Process, environment: Mapping[str, str]) -> bool:
    """Whether it was started with all of these in its environment; False when that cannot be read."""
    try:
        found = (_PROC / str(process.pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return all(f"{name}={value}".encode() in found for name, value in environment.items())


def send(process: Process, number: int) -> None:
    """Send a signal to this very process; nothing happens when it is gone or not ours to signal."""
    if same(process):
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def boot_id() -> str:
    """A text that changes with each boot of the host."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def available() -> bool:
    """Whether this system has the /proc that the functions above read."""
    return (_PROC / "self/environ").exists()
