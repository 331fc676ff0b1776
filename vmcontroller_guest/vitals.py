"""How the machine is doing: load, memory and disk, for STILL_ALIVE."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MEMINFO = re.compile(r"^(MemTotal|MemAvailable|SwapTotal|SwapFree): +(\d+) kB", re.MULTILINE)
_NAMES = {"MemTotal": "total", "MemAvailable": "available", "SwapTotal": "swapTotal", "SwapFree": "swapFree"}


@dataclass(frozen=True)
class Vitals:
    """Three load averages; memory (``total``, ``available``, ``swapTotal``, ``swapFree``) and disk (``total``,
    ``free``) in octets. Empty where the system does not tell."""

    load: tuple[float, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    disk: Mapping[str, int] = field(default_factory=dict)


def read_vitals(served: Path) -> Vitals:
    """The machine's vitals; the disk is the one that holds ``served``."""
    return Vitals(_load(), _memory(), _disk(served))


def _load() -> tuple[float, ...]:
    return os.getloadavg() if hasattr(os, "getloadavg") else ()


def _memory() -> dict[str, int]:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return {}
    return {_NAMES[name]: int(kibibytes) * 1024 for name, kibibytes in _MEMINFO.findall(text)}


def _disk(served: Path) -> dict[str, int]:
    try:
        usage = shutil.disk_usage(served)
    except OSError:
        return {}
    return {"total": usage.total, "free": usage.free}
