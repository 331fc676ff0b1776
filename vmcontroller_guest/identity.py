"""Who this guest is, and what it finds out about its own network.

netifaces is asked only where something depends on it: for the addresses in HELLO, and where there is no seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from vmcontroller.errors import BadConfiguration


@dataclass(frozen=True)
class Identity:
    """What the guest says of itself in HELLO. ``secret`` "" means that no proof is demanded of the host."""

    id: str
    secret: str = field(default="", repr=False)
    name: str = ""
    chirp_port: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    addresses: Callable[[], tuple[str, ...]] = tuple


def addresses() -> tuple[str, ...]:
    """The machine's own IPv4 addresses, loopback left out; none where netifaces is missing."""
    try:
        network = _netifaces()
    except BadConfiguration:
        return ()
    found = [
        entry["addr"]
        for interface in network.interfaces()
        for entry in network.ifaddresses(interface).get(network.AF_INET, [])
    ]
    return tuple(address for address in found if not address.startswith("127."))


def id_from_mac(interface: str = "") -> str:
    """A VM's id where there is no seed: the card's address, lower case, with dashes. BadConfiguration.

    ``interface`` "" is the one that leads to the gateway.
    """
    network = _netifaces()
    chosen = interface or _default(network)[1]
    try:
        address = network.ifaddresses(chosen)[network.AF_LINK][0]["addr"]
    except (ValueError, KeyError):
        raise BadConfiguration(f"the network interface {chosen!r} does not exist or has no address") from None
    return str(address).lower().replace(":", "-")


def gateway() -> str:
    """The default gateway's IPv4 address: there the broker is where nothing else is said. BadConfiguration."""
    return _default(_netifaces())[0]


def _default(network: ModuleType) -> tuple[str, str]:
    route = network.gateways().get("default", {}).get(network.AF_INET)
    if route is None:
        raise BadConfiguration(
            "this machine has neither a seed nor a default gateway; attach a seed, or set broker and interface"
        )
    return str(route[0]), str(route[1])


def _netifaces() -> ModuleType:
    try:
        import netifaces  # noqa: PLC0415  a guest with a seed can do without
    except ImportError:
        raise BadConfiguration("without a seed the module netifaces is needed: install netifaces-plus") from None
    return netifaces
