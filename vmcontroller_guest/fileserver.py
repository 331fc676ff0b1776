"""The guest's Chirp server: it serves one directory to whoever holds the private half of the VM's key."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.protocol import Factory


class ChirpFactory(Factory):
    """Listen with it on any TCP endpoint; stopping the port ends its sessions."""

    noisy = False

    def __init__(self, root: Path, public_key_pem: str, reactor: IReactorFromThreads) -> None:
        """``root`` is the served directory; with an empty ``public_key_pem`` nobody gets in."""
        self.root = root

    def close(self) -> Deferred[None]:
        """End every session; fires when each has cleaned up."""
        raise NotImplementedError
