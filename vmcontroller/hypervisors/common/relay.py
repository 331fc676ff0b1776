"""Forwards on loopback for hypervisors that have none: two free ports here lead to two of a guest's.

Where the guest is comes from outside and is asked anew for each connection: a guest gets its address when it has
booted, long after its machine was started.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP
from twisted.internet.protocol import ServerFactory
from twisted.protocols.portforward import Proxy, ProxyClientFactory
from twisted.python.failure import Failure

from vmcontroller.machine import GuestAddress

LOOPBACK = "127.0.0.1"
#: Where the agent in a guest listens (docs/reference/seed.md): its door, and Chirp.
GUEST_PORTS = (61614, 9094)
#: Seconds that a guest may take to accept a connection.
PATIENCE = 10

Where = Callable[[], Deferred[str | None]]


class Relay:
    """The two forwards of one machine. ``where`` gives the guest's IP address, or None while it has none."""

    def __init__(self, reactor: IReactorTCP, where: Where, ports: tuple[int, int] = GUEST_PORTS) -> None:
        self._reactor = reactor
        self._where = where
        self._ports = ports
        self._open: list[tuple[IListeningPort, _Visits]] = []

    async def open(self) -> GuestAddress:
        """Listen, and say where. The second time nothing happens."""
        if not self._open:
            self._open = [self._listen(port) for port in self._ports]
        door, chirp = (_number(listening.getHost()) for listening, _ in self._open)
        return GuestAddress(LOOPBACK, door, chirp)

    def _listen(self, port: int) -> tuple[IListeningPort, _Visits]:
        visits = _Visits(self._reactor, self._where, port)
        return self._reactor.listenTCP(0, visits, interface=LOOPBACK), visits

    async def close(self) -> None:
        """Stop listening and cut every connection; fires when that is so."""
        ports, self._open = self._open, []
        for _, visits in ports:
            visits.end()
        await DeferredList([maybeDeferred(listening.stopListening) for listening, _ in ports])


def _number(address: Any) -> int:
    return int(address.port)


class _Visits(ServerFactory):
    """The connections to one port of the guest."""

    noisy = False

    def __init__(self, reactor: IReactorTCP, where: Where, port: int) -> None:
        self.reactor = reactor
        self.where = where
        self.port = port
        self.visits: set[_Visit] = set()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _Visit(self)

    def end(self) -> None:
        for visit in list(self.visits):
            visit.transport.abortConnection()


class _Visit(Proxy):
    """One connection: it waits for its peer in the guest, and ends with it."""

    noisy = False
    transport: Any

    def __init__(self, visits: _Visits) -> None:
        self._visits = visits

    def connectionMade(self) -> None:
        self._visits.visits.add(self)
        self.transport.pauseProducing()
        self._visits.where().addCallbacks(self._dial, self._lost)

    def _dial(self, host: str | None) -> None:
        if host is None or self not in self._visits.visits:
            self.transport.loseConnection()
            return
        client = ProxyClientFactory()
        client.noisy = False
        client.setServer(self)
        self._visits.reactor.connectTCP(host, self._visits.port, client, timeout=PATIENCE)

    def _lost(self, failure: Failure) -> None:
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self._visits.visits.discard(self)
        super().connectionLost(reason)
