"""How a guest's two ports come to loopback where QEMU forwards them itself; elsewhere common/relay.py does."""

from __future__ import annotations

import re

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.relay import GUEST_PORTS, LOOPBACK
from vmcontroller.hypervisors.libvirt.definition import NETDEV
from vmcontroller.hypervisors.libvirt.domain import Domain
from vmcontroller.machine import GuestAddress

_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)")


class ByQemu:
    """QEMU chooses free ports itself, and keeps them as long as it runs, whatever becomes of the daemon."""

    def __init__(self, host: Host, domain: Domain) -> None:
        self._host = host
        self._domain = domain

    async def open(self) -> GuestAddress:
        return await self._host.in_thread(self._open)

    def _open(self) -> GuestAddress:
        known = self._known()
        for port in GUEST_PORTS:
            if port not in known:
                answer = self._domain.tell_qemu(f"hostfwd_add {NETDEV} tcp:{LOOPBACK}:0-:{port}").strip()
                if answer:
                    raise HypervisorFailed(f"QEMU forwards no port to the guest: {answer}")
        known = self._known()
        door, chirp = (known[port] for port in GUEST_PORTS)
        return GuestAddress(LOOPBACK, door, chirp)

    def _known(self) -> dict[int, int]:
        """The guest's ports that are forwarded, each with the host's port."""
        return forwards(self._domain.tell_qemu("info usernet"))

    async def close(self) -> None:
        """They end with QEMU."""


def forwards(table: str) -> dict[int, int]:
    """QEMU's table of user networking: guest port → port on loopback."""
    return {int(guest): int(host) for host, guest in _FORWARD.findall(table)}
