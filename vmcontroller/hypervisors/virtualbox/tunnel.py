"""A machine's network card, at VirtualBox's end: no NAT and no bridge, but a tunnel that leads to this program alone.

VirtualBox's generic driver UDPTunnel sends each Ethernet frame as a datagram from port ``sport`` of this host to port
``dport`` of ``dest``, and takes those that come to ``sport``. Who holds the other end is in reach.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.virtualbox.link import Link

_DRIVER = "UDPTunnel"
_LOOPBACK = "127.0.0.1"
#: What VirtualBox says of a driver that it has not (VERR_PDM_DRIVER_NOT_FOUND).
_UNKNOWN = "VERR_PDM_DRIVER_NOT_FOUND"
_MISSING = (
    f"this VirtualBox lacks the network driver {_DRIVER}, by which alone its VMs can be reached and stay closed;"
    " install the VirtualBox of its makers (https://www.virtualbox.org), or choose another hypervisor"
)


@dataclass(frozen=True)
class Ports:
    """The UDP ports of a tunnel, both on this host: this program's, and VirtualBox's."""

    ours: int
    theirs: int


def leave_out(link: Link, machine: Any) -> None:
    """Give a new machine its card, with no cable in it."""
    adapter = machine.get_network_adapter(0)
    adapter.enabled = True
    adapter.attachment_type = link.library.NetworkAttachmentType.null


def plug_in(link: Link, machine: Any, ports: Ports) -> None:
    """Let the card lead to these ports, whatever it led to before. A machine that runs notices nothing of it."""
    adapter = machine.get_network_adapter(0)
    adapter.attachment_type = link.library.NetworkAttachmentType.null  # Else each change would be put into force alone.
    adapter.generic_driver = _DRIVER
    for name, value in (("dest", _LOOPBACK), ("sport", ports.theirs), ("dport", ports.ours)):
        adapter.set_property(name, str(value))
    adapter.attachment_type = link.library.NetworkAttachmentType.generic


def ports(link: Link, uuid: str) -> Ports | None:
    """Where a machine's card leads, or None when it leads nowhere."""
    adapter = link.machine(uuid).get_network_adapter(0)
    if adapter.attachment_type != link.library.NetworkAttachmentType.generic:
        return None
    return Ports(ours=int(adapter.get_property("dport")), theirs=int(adapter.get_property("sport")))


def replug(link: Link, uuid: str, others: Ports) -> None:
    """Let the card of a machine that runs lead to other ports."""
    with link.changing(uuid) as machine:
        plug_in(link, machine, others)
        machine.save_settings()


def explained(error: HypervisorFailed) -> HypervisorFailed:
    """Why a machine does not start, in a sentence where that is known."""
    return HypervisorFailed(_MISSING) if _UNKNOWN in str(error) else error
