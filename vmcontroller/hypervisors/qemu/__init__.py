"""Machines that QEMU runs, driven over QMP: accelerated by KVM where that is proven to work, emulated elsewhere.

Linux only: it needs /proc and Unix sockets. How it does what it does: docs/reference/qemu.md.
"""

from __future__ import annotations

from pathlib import Path

from vmcontroller.hypervisors.qemu.acceleration import Acceleration
from vmcontroller.hypervisors.qemu.hypervisor import QemuHypervisor
from vmcontroller.hypervisors.qemu.launch import IQemuReactor
from vmcontroller.images.store import ImageStore


def create(reactor: IQemuReactor, state_dir: Path, owner: str) -> QemuHypervisor:
    """The plugin's factory; nothing is touched before connect()."""
    images = ImageStore(state_dir / "images", reactor)
    return QemuHypervisor(reactor, state_dir, owner, images, Acceleration(state_dir / "qemu.json"))
