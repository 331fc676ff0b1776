"""A machine's network: one card behind VirtualBox's NAT, two forwards on loopback, and as little else as can be had.

VirtualBox has no switch for a closed NAT. IPv4 is closed by an address that cannot be had; IPv6, which is there since
7.1, stays open (docs/reference/virtualbox.md).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from vmcontroller.hypervisors.virtualbox.link import Link
from vmcontroller.machine import GuestAddress

_HOST = "127.0.0.1"
#: The agent's ports in the guest (docs/reference/seed.md), by the names of the rules.
_GUEST_PORTS = {"door": 61614, "chirp": 9094}
#: An address that no host has (RFC 5737). The NAT binds to it what it opens for the guest, and fails.
_NOWHERE = "192.0.2.1"


def plug_in(link: Link, machine: Any) -> None:
    """Give a new machine its card, the same for every version."""
    adapter = machine.get_network_adapter(0)
    adapter.enabled = True
    adapter.attachment_type = link.library.NetworkAttachmentType.nat
    _close(link, adapter.nat_engine)


def open_ports(link: Link, machine: Any) -> None:
    """Forward the guest's ports from free ones of this host, and forget all other rules. Not while it runs."""
    engine = machine.get_network_adapter(0).nat_engine
    for rule in list(engine.redirects):
        engine.remove_redirect(rule.split(",")[0])
    _close(link, engine)
    with _free_ports() as ports:
        for name, port in ports.items():
            engine.add_redirect(name, link.library.NATProtocol.tcp, _HOST, port, "", _GUEST_PORTS[name])


def mend_ports(link: Link, machine: Any) -> None:
    """Choose anew for a running machine what somebody else took meanwhile: VirtualBox does not tell."""
    engine = machine.get_network_adapter(0).nat_engine
    lost = [name for name, port in _ports(engine).items() if not _taken(port)]
    with _free_ports() as ports:
        new = {name: ports[name] for name in lost}
    for name, port in new.items():
        engine.remove_redirect(name)
        engine.add_redirect(name, link.library.NATProtocol.tcp, _HOST, port, "", _GUEST_PORTS[name])


def address(machine: Any) -> GuestAddress | None:
    """Where the guest is reached, or None when there are no such rules."""
    ports = _ports(machine.get_network_adapter(0).nat_engine)
    return GuestAddress(_HOST, ports["door"], ports["chirp"]) if ports.keys() == _GUEST_PORTS.keys() else None


def _close(link: Link, engine: Any) -> None:
    link.shims.close_loopback(engine)
    engine.host_ip = _NOWHERE


def _ports(engine: Any) -> dict[str, int]:
    """The host's ports by the names of our rules; a rule reads "name,protocol,host,port,guest,port"."""
    rules = (rule.split(",") for rule in engine.redirects)
    return {rule[0]: int(rule[3]) for rule in rules if rule[0] in _GUEST_PORTS}


@contextmanager
def _free_ports() -> Iterator[dict[str, int]]:
    """A free port for each rule, held until the end of the block."""
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in _GUEST_PORTS}
        for one in sockets.values():
            one.bind((_HOST, 0))
        yield {name: one.getsockname()[1] for name, one in sockets.items()}


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((_HOST, port))
        except OSError:
            return True
    return False
