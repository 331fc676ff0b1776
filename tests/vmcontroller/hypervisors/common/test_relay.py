"""Forwards on loopback lead to a guest whose address is looked up at each connection."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common.relay import Elsewhere, Relay, Where


class Echo(Protocol):
    """A guest's port: it says everything twice."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(2 * data)
        self.transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class Counter(Protocol):
    """A guest's port: it says how much it has heard, when that is all."""

    heard = 0

    def dataReceived(self, data: bytes) -> None:
        self.heard += len(data)

    def readConnectionLost(self) -> None:
        self.transport.write(b"%d" % self.heard)
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It has said so."""


class Quitter(Protocol):
    """A guest's port: it breaks off."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class Caller(Protocol):
    """Hears until the connection ends."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It has said everything."""

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason.type
        self.ended.callback(self.heard)


class TestRelay(TestCase):
    """One machine's two ports."""

    timeout = 20

    async def setUp(self) -> None:
        guest = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(guest.stopListening)
        self.where: Where = lambda: succeed("127.0.0.1")
        port = guest.getHost().port
        self.relay = Relay(reactor, self.way, (port, port))
        self.address = await self.relay.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.relay.close()))

    def found(self) -> Deferred[str | None]:
        return self.where()

    def way(self, port: int) -> Elsewhere:
        return Elsewhere(reactor, self.found, port)

    async def call(self, port: int) -> Caller:
        return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Caller())

    async def test_both_ports_lead_to_the_guest(self) -> None:
        """What is said arrives, and so does the answer, and the end."""
        for port in (self.address.door_port, self.address.chirp_port):
            caller = await self.call(port)
            caller.transport.write(b"ab")
            self.assertEqual(await caller.ended, b"abab")

    async def test_guest_without_address(self) -> None:
        """The caller is let go at once, and may come again; so it is when nobody knows."""
        for self.where in (lambda: succeed(None), lambda: fail(HypervisorFailed("no"))):
            caller = await self.call(self.address.door_port)
            self.assertEqual(await caller.ended, b"")

    async def test_guest_refuses(self) -> None:
        """A closed port in the guest looks like one here."""
        relay = Relay(reactor, self.way, (1, 1))
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        caller = await self.call((await relay.open()).door_port)
        self.assertEqual(await caller.ended, b"")

    async def test_caller_leaves_before_the_guest_is_found(self) -> None:
        """Then nobody is dialled."""
        answer: Deferred[str | None] = Deferred()
        self.where = lambda: answer
        caller = await self.call(self.address.door_port)
        caller.transport.abortConnection()
        await caller.ended
        answer.callback("127.0.0.1")

    async def test_one_direction_ends_before_the_other(self) -> None:
        """Who has said everything still hears the answer."""
        guest = reactor.listenTCP(0, ServerFactory.forProtocol(Counter), interface="127.0.0.1")
        self.addCleanup(guest.stopListening)
        port = guest.getHost().port
        relay = Relay(reactor, self.way, (port, port))
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        caller = await self.call((await relay.open()).door_port)
        caller.transport.write(b"x" * 100_000)
        caller.transport.loseWriteConnection()
        self.assertEqual(await caller.ended, b"100000")

    async def test_guest_breaks_off(self) -> None:
        """So does the connection here: its caller can tell that from an end."""
        guest = reactor.listenTCP(0, ServerFactory.forProtocol(Quitter), interface="127.0.0.1")
        self.addCleanup(guest.stopListening)
        port = guest.getHost().port
        relay = Relay(reactor, self.way, (port, port))
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        caller = await self.call((await relay.open()).door_port)
        caller.transport.write(b"hello")
        await caller.ended
        self.assertIs(caller.reason, ConnectionLost)

    async def test_close(self) -> None:
        """Nobody gets in any more, and whoever is in gets out; opened twice it is the same."""
        self.assertEqual(await self.relay.open(), self.address)
        answer: Deferred[str | None] = Deferred()
        self.where = lambda: answer
        caller = await self.call(self.address.door_port)
        await self.relay.close()
        await caller.ended
        with self.assertRaises(Exception):  # noqa: B017 — whichever way this system refuses
            await self.call(self.address.door_port)
        answer.callback(None)
