"""What processes have used: the 16 fields of getrusage(2), for one process or summed over many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vmcontroller.wire.words import RU_FIELDS
from vmcontroller_guest.census import Stat, read_proc

#: Fields that /proc/PID/status tells of a process that lives.
_TOLD = {"ru_maxrss": b"VmHWM", "ru_nvcsw": b"voluntary_ctxt_switches", "ru_nivcsw": b"nonvoluntary_ctxt_switches"}
#: What a process has used that has done nothing yet.
_NOTHING: dict[str, float] = {**dict.fromkeys(RU_FIELDS, 0), "ru_utime": 0.0, "ru_stime": 0.0}


class Usage:
    """A sum: seconds for the two times, whole numbers else. Every field is added up but ru_maxrss, the largest of all.

    ru_maxrss of a small program is that of the agent: Linux counts the memory from which it was started.
    """

    def __init__(self, fields: Mapping[str, float] | None = None) -> None:
        self.fields = _NOTHING | dict(fields or {})

    def add(self, other: Mapping[str, float]) -> None:
        """Count another process in."""
        for name, value in other.items():
            mine = self.fields[name]
            self.fields[name] = max(mine, value) if name == "ru_maxrss" else mine + value


def of_ended(rusage: Any) -> dict[str, float]:
    """What wait4 says of a process and of the children that it waited for."""
    return {name: getattr(rusage, name) for name in RU_FIELDS}


def of_living(stat: Stat) -> dict[str, float]:
    """What a process, and the children that it waited for, have used so far. /proc does not tell all fields."""
    ticks = os.sysconf("SC_CLK_TCK")
    lines = (line.partition(b":") for line in read_proc(f"/proc/{stat.pid}/status").splitlines())
    status = {name: value.split() for name, _, value in lines}
    used: dict[str, float] = {name: int(status[key][0]) for name, key in _TOLD.items() if status.get(key)}
    used |= {"ru_utime": stat.user / ticks, "ru_stime": stat.system / ticks}
    return used | {"ru_minflt": stat.minor_faults, "ru_majflt": stat.major_faults}
