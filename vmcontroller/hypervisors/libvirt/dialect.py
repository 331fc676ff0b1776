"""What differs between the hypervisors behind libvirt, as a table; and which one a connection leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vmcontroller.errors import HypervisorMissing
from vmcontroller.hypervisors.common import processor
from vmcontroller.hypervisors.libvirt.link import binding
from vmcontroller.interfaces import Suitability

#: An isolated network that the administrator defines, for hypervisors without user networking.
NETWORK = "vmcontroller"


@dataclass(frozen=True)
class Dialect:
    """One kind of domain.

    ``title`` is its name for people. ``kind`` is the domain's type; ``disk`` the first disk's name and ``bus`` its
    bus; ``cpu`` a model, libvirt's mode of that name, or "" for the hypervisor's own choice. ``forwards``: QEMU itself
    forwards the two ports, and the guest has no other network; else the guest is on NETWORK.
    """

    title: str
    kind: str
    disk: str
    bus: str
    cpu: str
    forwards: bool


KVM = Dialect("KVM", "kvm", "vd", "virtio", "host-model", forwards=True)
# TCG is fastest with an old model, and a saved state needs the very one that it was saved with.
TCG = Dialect("QEMU without acceleration", "qemu", "vd", "virtio", "Nehalem", forwards=True)
XEN = Dialect("Xen", "xen", "xvd", "xen", "", forwards=False)
TEST = Dialect("libvirt's test driver, which runs nothing", "test", "vd", "virtio", "", forwards=False)


def spoken(connection: Any) -> Dialect:
    """The dialect of a virConnect. HypervisorMissing for drivers that cannot do what a plugin has to."""
    driver = connection.getType()
    if driver == "QEMU":
        return KVM if _has_kvm(connection) and processor.virtualises() else TCG
    if driver not in ("Xen", "TEST"):
        raise HypervisorMissing(
            f"libvirt's driver for {driver} neither forwards ports nor knows a guest's address;"
            ' use hypervisor = "virtualbox" or "vmware" for these, and qemu:/// or xen:/// with libvirt'
        )
    return XEN if driver == "Xen" else TEST


def suitability(connection: Any) -> Suitability:
    """How well machines run over a virConnect."""
    try:
        dialect = spoken(connection)
    except HypervisorMissing as error:
        return Suitability(False, False, str(error))
    words = f"libvirt leads to {dialect.title}"
    if not dialect.forwards:
        words += "; the isolated network leaves this computer's own address open to its VMs"
    return Suitability(dialect is not TEST, dialect in (KVM, XEN), words, isolated=dialect.forwards)


def _has_kvm(connection: Any) -> bool:
    try:
        connection.getDomainCapabilities(None, None, None, "kvm")
    except binding().libvirtError:
        return False
    return True
