"""What the host's processor is good for."""

from __future__ import annotations

import platform
from pathlib import Path


def virtualises() -> bool:
    """Whether it runs guests itself (VT-x, AMD-V). True where nobody can tell.

    A device /dev/kvm says less: some hosts offer one that only emulates, more slowly than QEMU does.
    """
    if platform.machine() not in ("x86_64", "i686"):
        return True
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return True
    return bool(words & {"vmx", "svm"})
