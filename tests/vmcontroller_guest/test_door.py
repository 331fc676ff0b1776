"""The door, without a network: who comes in, who does not, and who waits too long."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller.wire.door import DaemonSide
from vmcontroller_guest.door import CALLERS, PATIENCE, DoorFactory, DoorProtocol


class Transport(StringTransportWithDisconnection):
    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class Door(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.admitted: list[tuple[Any, bytes]] = []
        self.door = DoorFactory(self.clock, "secret", lambda *admitted: self.admitted.append(admitted))

    def call(self) -> tuple[DoorProtocol, Transport]:
        """Somebody connects."""
        protocol, transport = self.door.buildProtocol(None), Transport()
        assert isinstance(protocol, DoorProtocol)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport

    def proof(self, transport: Transport, secret: str = "secret") -> bytes:
        return DaemonSide(secret).feed(transport.value())

    def test_who_proves_himself_is_admitted_with_what_he_said_next(self) -> None:
        """At once, and no timer of the door is left."""
        protocol, transport = self.call()
        protocol.dataReceived(self.proof(transport) + b"CONNECTED")
        self.assertEqual(self.admitted, [(transport, b"CONNECTED")])
        self.assertTrue(transport.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_proof_may_come_in_pieces(self) -> None:
        protocol, transport = self.call()
        for octet in self.proof(transport):
            self.assertEqual(self.admitted, [])
            protocol.dataReceived(bytes([octet]))
        self.assertEqual(len(self.admitted), 1)

    def test_a_wrong_proof_is_hung_up_on(self) -> None:
        protocol, transport = self.call()
        protocol.dataReceived(self.proof(transport, "another"))
        self.assertEqual((self.admitted, transport.connected), ([], False))

    def test_an_endless_line_is_hung_up_on(self) -> None:
        protocol, transport = self.call()
        protocol.dataReceived(b"x" * 1000)
        self.assertFalse(transport.connected)

    def test_who_says_nothing_is_hung_up_on(self) -> None:
        _, transport = self.call()
        self.clock.advance(PATIENCE)
        self.assertFalse(transport.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_so_many_may_try_at_once(self) -> None:
        """When one leaves, another may come."""
        callers = [self.call() for _ in range(CALLERS)]
        self.assertIsNone(self.door.buildProtocol(None))
        callers[0][1].loseConnection()
        self.call()

    def test_close_hangs_up_on_all_that_wait(self) -> None:
        callers = [self.call() for _ in range(3)]
        self.door.close()
        self.assertFalse(any(transport.connected for _, transport in callers))
        self.assertEqual(self.clock.getDelayedCalls(), [])
