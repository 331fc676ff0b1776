"""A guest's connection goes on to a broker elsewhere, each side no faster than the other takes it."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vmcontroller.relay import Relay


class Dialled:
    """An endpoint that connects when the test says so."""

    def __init__(self) -> None:
        self.cancelled = False
        self.answer: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, answer: Deferred[Any]) -> None:
        self.cancelled = True

    def connect(self, factory: Factory) -> Deferred[Any]:
        self.factory = factory
        return self.answer

    def connected(self) -> StringTransport:
        """The broker is there: the transport to it."""
        transport = StringTransport()
        protocol = self.factory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        protocol.makeConnection(transport)
        self.answer.callback(protocol)
        self.protocol = protocol
        return transport


class RelayTests(SynchronousTestCase):
    """Who waits for whom."""

    def setUp(self) -> None:
        self.dialled, self.near = Dialled(), StringTransport()
        self.relay = Relay(self.dialled)  # type: ignore[arg-type]
        self.relay.makeConnection(self.near)

    def test_nothing_is_read_before_the_broker_is_there(self) -> None:
        """What was read too far before is passed on first."""
        self.assertEqual(self.near.producerState, "paused")
        self.relay.dataReceived(b"CONNECT")
        far = self.dialled.connected()
        self.assertEqual((far.value(), self.near.producerState), (b"CONNECT", "producing"))

    def test_each_side_slows_the_other(self) -> None:
        """A side that cannot send keeps the other from being read."""
        far = self.dialled.connected()
        self.assertIs(far.producer, self.near)
        self.assertIs(self.near.producer, far)

    def test_both_ways(self) -> None:
        """Octets, as they come."""
        far = self.dialled.connected()
        self.relay.dataReceived(b"there")
        self.dialled.protocol.dataReceived(b"back")
        self.assertEqual((far.value(), self.near.value()), (b"there", b"back"))

    def test_guest_hangs_up(self) -> None:
        """Then so does the relay."""
        far = self.dialled.connected()
        self.relay.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(far.disconnecting)
        self.assertIsNone(far.producer)

    def test_broker_hangs_up(self) -> None:
        """After what it said was passed on: it may be why."""
        self.dialled.connected()
        self.dialled.protocol.dataReceived(b"ERROR")
        self.dialled.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.near.value(), self.near.disconnecting), (b"ERROR", True))
        self.assertIsNone(self.near.producer)

    def test_guest_hangs_up_before_the_broker_is_there(self) -> None:
        """The broker is not dialled any longer."""
        self.relay.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.dialled.cancelled)

    def test_no_broker(self) -> None:
        """The guest is hung up on; its door is dialled again after a while."""
        self.dialled.answer.errback(ConnectionRefusedError())
        self.assertTrue(self.near.disconnected or self.near.disconnecting)


class Peer(Protocol):
    """One end: it sends what it was given, and counts what it hears."""

    def __init__(self, data: bytes, expected: int) -> None:
        self.data, self.expected = data, expected
        self.heard = b""
        self.whole: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.data)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if len(self.heard) == self.expected:
            self.whole.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class SocketTests(TestCase):
    """Over real sockets."""

    timeout = 30

    async def test_megabytes_both_ways_at_once(self) -> None:
        """Every octet arrives, in its place; when one side leaves, the other one is let go."""
        sizes = 8_000_000, 5_000_000
        there, back = os.urandom(sizes[0]), os.urandom(sizes[1])
        guest, broker = Peer(there, sizes[1]), Peer(back, sizes[0])
        its_reactor: Any = reactor
        listening = its_reactor.listenTCP(0, _one(broker), interface="127.0.0.1")
        endpoint = HostnameEndpoint(its_reactor, "127.0.0.1", listening.getHost().port)
        door = its_reactor.listenTCP(0, _one(Relay(endpoint)), interface="127.0.0.1")
        await HostnameEndpoint(its_reactor, "127.0.0.1", door.getHost().port).connect(_one(guest))
        await guest.whole
        await broker.whole
        self.assertTrue(guest.heard == back and broker.heard == there)
        guest.transport.loseConnection()  # type: ignore[union-attr]
        await broker.lost
        await guest.lost
        await listening.stopListening()
        await door.stopListening()


def _one(protocol: Protocol) -> Factory:
    factory = Factory.forProtocol(lambda: protocol)  # type: ignore[arg-type]
    factory.noisy = False
    return factory
