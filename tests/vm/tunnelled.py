"""QEMU with the network that VirtualBox's machines have: a hypervisor plugin for tests.

QEMU's "socket" carries a frame as a UDP datagram, as VirtualBox's UDPTunnel does; the other end is the same code. So
a real Linux shows what a VirtualBox without a kernel module is too slow for. For one machine; its ports are in the
environment, so that each daemon of a test holds the same tunnel.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from vmcontroller.hypervisors.common.net.network import Network
from vmcontroller.hypervisors.common.relay import Relay
from vmcontroller.hypervisors.qemu import commandline
from vmcontroller.hypervisors.qemu.acceleration import Acceleration
from vmcontroller.hypervisors.qemu.hypervisor import QemuHypervisor
from vmcontroller.hypervisors.qemu.life import Life
from vmcontroller.images.store import ImageStore
from vmcontroller.machine import GuestAddress

PORTS = "VMCONTROLLER_TEST_TUNNEL"


class TunnelledQemu(QemuHypervisor):
    """The forwards are the relay's, not QEMU's."""

    name = "tunnelled"

    def __init__(self, reactor: Any, *parts: Any) -> None:
        super().__init__(reactor, *parts)
        self._network = Network(reactor)
        self._relay = Relay(reactor, self._network.endpoint)

    async def _connect(self) -> None:
        ours, theirs = _ports()
        self._network.open(ours)
        self._network.plug_in(theirs)
        await super()._connect()

    async def _disconnect(self, stop: bool) -> None:
        await super()._disconnect(stop)
        await self._relay.close()
        await self._network.close()

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        def where(address: GuestAddress | None) -> Any:
            return address and Deferred.fromCoroutine(self._relay.open())

        return super().guestAddress(vm).addCallback(where)


def create(reactor: Any, state_dir: Path, owner: str) -> TunnelledQemu:
    """The factory; QEMU's plugin is changed for the whole process, which is a daemon of a test."""
    commandline.arguments = _arguments  # type: ignore[assignment]
    Life._ports = _no_ports  # type: ignore[assignment]
    images = ImageStore(state_dir / "images", reactor)
    return TunnelledQemu(reactor, state_dir, owner, images, Acceleration(state_dir / "qemu.json"))


_stock = commandline.arguments


def _arguments(*order: Any) -> tuple[str, ...]:
    """The same machine with VirtualBox's card at the end of a tunnel."""
    ours, theirs = _ports()
    tunnel = f"socket,id=net,udp=127.0.0.1:{ours},localaddr=127.0.0.1:{theirs}"
    words = (tunnel if word.startswith("user,id=net") else word for word in _stock(*order))
    return tuple(word.replace("virtio-net-pci", "e1000") for word in words)


def _ports() -> tuple[int, int]:
    ours, theirs = os.environ[PORTS].split(",")
    return int(ours), int(theirs)


async def _no_ports(life: Life) -> tuple[int, int]:
    return 0, 0
