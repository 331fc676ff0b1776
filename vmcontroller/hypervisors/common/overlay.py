"""A disk of a machine's own upon a base that is not written on, made by qemu-img. Blocks: call it in a thread."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vmcontroller.errors import DiskFull, HypervisorFailed, HypervisorMissing
from vmcontroller.images import qemuimg
from vmcontroller.images.store import Base


def create(base: Base, disk: Path, form: str) -> None:
    """Make ``disk`` in qemu-img's format ``form``; it holds what is written and refers to the base for the rest.

    HypervisorMissing, DiskFull, HypervisorFailed.
    """
    words = ("create", "-q", "-f", form, "-b", str(base.path), "-F", base.format, str(disk))
    done = subprocess.run((program(), *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if "No space left" in done.stderr:
        raise DiskFull(f"{disk.parent}: no room is left on the disk; free some and try again")
    if done.returncode:
        raise HypervisorFailed(f"qemu-img makes no disk upon {base.path}: {done.stderr.strip()}")


def program() -> str:
    """Where qemu-img is; HypervisorMissing."""
    found = qemuimg.program()
    if found is None:
        raise HypervisorMissing("qemu-img is not installed, which makes the machines' disks; on Debian: qemu-utils")
    return found
