"""Machines of VMware Workstation and Fusion, through the program vmrun (docs/reference/vmware.md).

Written after VMware's documentation; it was never run against the real thing.
"""

from __future__ import annotations

from pathlib import Path

from vmcontroller.hypervisors.vmware.hypervisor import IVMwareReactor, VMwareHypervisor


def create(reactor: IVMwareReactor, state_dir: Path, owner: str) -> VMwareHypervisor:
    """The plugin's factory; nothing is touched before connect()."""
    return VMwareHypervisor(reactor, state_dir, owner)
