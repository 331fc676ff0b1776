"""Forwards on loopback for hypervisors that have none: two free ports here lead to two of a guest's.

How a guest's port is reached comes from outside, as an endpoint that is asked for anew for each connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.machine import GuestAddress

LOOPBACK = "127.0.0.1"
#: Where the agent in a guest listens (docs/reference/seed.md): its door, and Chirp.
GUEST_PORTS = (61614, 9094)
#: Seconds that a guest may take to accept a connection.
PATIENCE = 10

#: Leads to one of the guest's ports.
Ways = Callable[[int], IStreamClientEndpoint]
Where = Callable[[], Deferred[str | None]]


class IRelayReactor(IReactorTCP, IReactorTime):
    """What a relay needs of the reactor."""


class Relay:
    """The two forwards of one machine, whose ``ways`` lead to the guest's ``ports``."""

    def __init__(self, reactor: IRelayReactor, ways: Ways, ports: tuple[int, int] = GUEST_PORTS) -> None:
        self._reactor = reactor
        self._ways = ways
        self._ports = ports
        self._open: list[tuple[IListeningPort, _Visits]] = []

    async def open(self) -> GuestAddress:
        """Listen, and say where. The second time nothing happens."""
        if not self._open:
            self._open = [self._listen(port) for port in self._ports]
        door, chirp = (_number(listening.getHost()) for listening, _ in self._open)
        return GuestAddress(LOOPBACK, door, chirp)

    def _listen(self, port: int) -> tuple[IListeningPort, _Visits]:
        visits = _Visits(self._reactor, self._ways(port))
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

    def __init__(self, reactor: IReactorTime, way: IStreamClientEndpoint) -> None:
        self.reactor = reactor
        self.way = way
        self.visits: set[_Visitor] = set()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Visitor(self)

    def end(self) -> None:
        for visit in list(self.visits):
            visit.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class _Side(Protocol):
    """One end of a connection that leads through: what it hears the other one says, and so it is with the end."""

    transport: Any

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.silent = False

    def meet(self, other: _Side) -> None:
        """Each pauses while the other cannot get rid of what it hears."""
        self.other, other.other = other, self
        self.transport.registerProducer(other.transport, True)
        other.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def readConnectionLost(self) -> None:
        other = self.other
        assert other is not None
        self.silent = True
        if other.silent:
            self.transport.loseConnection()
            other.transport.loseConnection()
        else:
            other.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """The other end hears no more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        other, self.other = self.other, None
        if other is None:
            return
        other.other = None
        other.transport.unregisterProducer()
        if reason.check(ConnectionDone):
            other.transport.loseConnection()
        else:
            other.transport.abortConnection()


class _Visitor(_Side):
    """The end on this host: it waits until the guest has answered."""

    def __init__(self, visits: _Visits) -> None:
        super().__init__()
        self._visits = visits
        self._call: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self._visits.visits.add(self)
        self.transport.pauseProducing()
        call = self._visits.way.connect(Factory.forProtocol(_Side))
        self._call = call.addTimeout(PATIENCE, self._visits.reactor).addCallbacks(self._answered, self._unanswered)

    def _answered(self, guest: _Side) -> None:
        self.meet(guest)
        self.transport.resumeProducing()

    def _unanswered(self, failure: Failure) -> None:
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._visits.visits.discard(self)
        self._call.cancel()
        super().connectionLost(reason)


@implementer(IStreamClientEndpoint)
class Elsewhere:
    """A port of a guest on a network of this host's. ``where`` gives its IP address, or None while it has none:

    a guest gets its address when it has booted, long after its machine was started.
    """

    def __init__(self, reactor: IReactorTCP, where: Where, port: int) -> None:
        self._reactor = reactor
        self._where = where
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Look the address up, and connect."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        host = await self._where()
        if host is None:
            raise ConnectError(string="the guest has no address yet")
        return await TCP4ClientEndpoint(self._reactor, host, self._port, timeout=PATIENCE).connect(factory)
