"""Machines through libvirt: KVM and QEMU, Xen, and libvirt's own test driver (docs/reference/libvirt.md).

Which of them is libvirt's own setting: LIBVIRT_DEFAULT_URI, ``uri_default`` in its configuration, or what it finds.
"""

from __future__ import annotations

from pathlib import Path

from vmcontroller.hypervisors.libvirt.hypervisor import ILibvirtReactor, LibvirtHypervisor


def create(reactor: ILibvirtReactor, state_dir: Path, owner: str) -> LibvirtHypervisor:
    """The plugin's factory; nothing is touched before connect()."""
    return LibvirtHypervisor(reactor, state_dir, owner)
