"""Who this guest is, and what it finds out about its own network.

netifaces is asked only where something depends on it: for the addresses in HELLO, and where there is no seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    """What the guest says of itself in HELLO. ``secret`` "" means that no proof is demanded of the host."""

    id: str
    secret: str = field(default="", repr=False)
    name: str = ""
    chirp_port: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    addresses: Callable[[], tuple[str, ...]] = tuple
