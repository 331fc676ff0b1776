"""The broker keeps a connection alive, and notices when the other side is gone."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.vmcontroller.broker.peer import BrokerCase
from vmcontroller.broker import Broker, Limits
from vmcontroller.wire.session import HeartBeats

LIMITS = Limits(heart_beats=HeartBeats(1, 10))


class Transport(StringTransport):
    """One that notes when it is cut."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class TestHeartBeats(SynchronousTestCase):
    """By a clock that stands still unless it is moved."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = Broker(self.clock, LIMITS)
        self.broker.allow("user", "pass")
        self.transport = Transport()
        self.connection = self.broker.factory.buildProtocol(None)
        self.connection.makeConnection(self.transport)

    def connect(self, heart_beat: str) -> None:
        self.connection.dataReceived(
            b"CONNECT\naccept-version:1.2\nlogin:user\npasscode:pass\nheart-beat:%b\n\n\0" % heart_beat.encode()
        )
        self.assertIn(b"CONNECTED", self.transport.value())
        self.transport.clear()

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.25] * int(seconds * 4))

    def test_sends_at_half_the_interval(self):
        """The client wants to hear something every four seconds: it does every two."""
        self.connect("0,4000")
        self.pass_time(8)
        self.assertEqual(self.transport.value(), b"\n" * 4)

    def test_not_more_often_than_it_can(self):
        """The client wants one every 10 ms; the broker offered one a second."""
        self.connect("0,10")
        self.pass_time(4)
        self.assertEqual(self.transport.value(), b"\n" * 8)

    def test_cuts_a_silent_client_after_twice_the_interval(self):
        """With an ERROR that says why."""
        self.connect("4000,0")
        self.pass_time(19.75)
        self.assertEqual(self.transport.value(), b"")
        self.pass_time(0.5)
        self.assertIn(b"nothing was heard for 20 s, not even a heart-beat", self.transport.value())
        self.assertTrue(self.transport.disconnecting)

    def test_any_octet_is_a_sign_of_life(self):
        self.connect("4000,0")
        for _ in range(5):
            self.pass_time(15)
            self.connection.dataReceived(b"\n")
        self.assertFalse(self.transport.disconnecting)

    def test_a_sender_that_is_held_is_not_taken_for_dead(self):
        """Its heart-beats and the rest of its frame are not read while it waits for a consumer."""
        self.connect("4000,0")
        self.connection.dataReceived(b"SEND\ndestination:")
        self.connection.hold("a slow consumer")
        self.pass_time(100)
        self.assertEqual(self.transport.producerState, "paused")
        self.connection.release("a slow consumer")
        self.pass_time(19)
        self.assertEqual((self.transport.producerState, self.transport.disconnecting), ("producing", False))
        self.pass_time(2)
        self.assertTrue(self.transport.disconnecting)

    def test_none_were_asked_for(self):
        """Nothing is sent and nobody is cut, and no call is left over."""
        self.connect("0,0")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_transport_without_half_close_is_closed_and_then_cut(self):
        """Who does not take the ERROR is not waited for."""
        self.connection.dataReceived(b"nonsense\n\n\0")
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)
        self.pass_time(LIMITS.linger)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TestHeartBeatsOnTheWire(BrokerCase):
    """The same with real time, in brief."""

    limits = Limits(heart_beats=HeartBeats(0.05, 0.25))

    async def test_both_ways(self):
        """A client that beats stays; when it stops it is cut."""
        peer = await self.login(more="heart-beat:100,50\n")
        for _ in range(6):
            await _pause(0.1)
            peer.transport.write(b"\n")
        self.assertFalse(peer.ended.called)
        self.assertGreater(peer.octets.count(b"\n\n"), 2)
        self.assertIn("nothing was heard for 0.5 s", (await peer.frame()).headers["message"])
        await peer.end()


def _pause(seconds: float) -> Deferred:
    paused: Deferred[None] = Deferred()
    reactor.callLater(seconds, paused.callback, None)
    return paused
