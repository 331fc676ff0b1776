"""How a machine's guest is reached: our end of its tunnel, a closed network behind it, and two forwards into that."""

from __future__ import annotations

import socket

from vmcontroller.hypervisors.common.host import IPluginReactor
from vmcontroller.hypervisors.common.net.network import INetworkReactor, Network
from vmcontroller.hypervisors.common.relay import IRelayReactor, Relay
from vmcontroller.hypervisors.virtualbox.guard import guard
from vmcontroller.hypervisors.virtualbox.tunnel import Ports
from vmcontroller.machine import GuestAddress


class IVirtualBoxReactor(IPluginReactor, INetworkReactor, IRelayReactor):
    """What this plugin needs of the reactor."""


class Reach:
    """One machine's. There is nothing until ``lay`` or ``take_up``, and nothing after ``close``."""

    def __init__(self, reactor: IVirtualBoxReactor) -> None:
        self._reactor = reactor
        self._network: Network | None = None
        self._relay: Relay | None = None
        self._theirs = 0
        self._guard: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._network is not None

    def lay(self) -> Ports:
        """Hold this end of a new tunnel; the ports that VirtualBox has to be told."""
        network = Network(self._reactor)
        ports = Ports(network.open(), _free_port())
        self._hold(network, ports)
        return ports

    def take_up(self, ports: Ports) -> None:
        """Hold this end of a tunnel that an earlier daemon laid. CannotListenError when somebody else has the port."""
        network = Network(self._reactor)
        network.open(ports.ours)
        self._hold(network, ports)

    def guard(self) -> None:
        """VirtualBox has opened its port: let nobody else do so. HypervisorFailed when somebody was quicker."""
        if self._guard is None and self.is_open:
            self._guard = guard(self._theirs)

    def unguard(self) -> None:
        """Let VirtualBox open its port again."""
        guarding, self._guard = self._guard, None
        if guarding is not None:
            guarding.close()

    def _hold(self, network: Network, ports: Ports) -> None:
        network.plug_in(ports.theirs)
        self._theirs = ports.theirs
        self._network, self._relay = network, Relay(self._reactor, network.endpoint)

    async def address(self) -> GuestAddress | None:
        """Where the guest's ports are; None when there is nothing."""
        return await self._relay.open() if self._relay is not None else None

    async def close(self) -> None:
        """Cut all connections, and let go of the ports."""
        self.unguard()
        network, relay = self._network, self._relay
        self._network = self._relay = None
        if relay is not None:
            await relay.close()
        if network is not None:
            await network.close()


def _free_port() -> int:
    """A UDP port that nobody has. VirtualBox takes it on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
