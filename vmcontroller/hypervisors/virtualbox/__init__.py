"""Machines of Oracle's VirtualBox, 6.1 to 7.2, through its COM interface and pyvbox: docs/reference/virtualbox.md.

hypervisor.py is the plugin, machine.py one machine. Both live with the reactor and speak of COM through com.py, whose
jobs (jobs.py, disks.py, tunnel.py, snapshots.py) run in a process of their own; only they know pyvbox's objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmcontroller.hypervisors.virtualbox.hypervisor import VirtualBoxHypervisor
    from vmcontroller.hypervisors.virtualbox.reach import IVirtualBoxReactor


def create(reactor: IVirtualBoxReactor, state_dir: Path, owner: str) -> VirtualBoxHypervisor:
    """The factory that the loader calls."""
    from vmcontroller.hypervisors.virtualbox.hypervisor import VirtualBoxHypervisor  # noqa: PLC0415

    return VirtualBoxHypervisor(reactor, state_dir, owner)
