"""What waits for a client whose transport is full, and for how long."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller.broker.limits import Limits
from vmcontroller.broker.outbox import Outbox

LIMITS = Limits(backlog_messages=3, backlog_octets=100, hold=10, stall_time=5)


class Sender:
    """Notes whether it is held."""

    held = False

    def hold(self, consumer: object) -> None:
        self.held = True

    def release(self, consumer: object) -> None:
        self.held = False


class TestOutbox(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.transport, self.sender = Clock(), StringTransport(), Sender()
        self.told: list[str] = []
        self.outbox = Outbox(
            self.clock, self.transport, LIMITS, set(), lambda: self.told.append("ready"), self.told.append
        )

    def full(self) -> None:
        """The transport takes no more."""
        self.outbox.pauseProducing()

    def write(self, *texts: bytes) -> None:
        for text in texts:
            self.outbox.write(text[:1], text[1:], self.sender)

    def test_straight_through_while_there_is_room(self):
        self.write(b"12", b"34")
        self.assertEqual(self.transport.value(), b"1234")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waits_while_there_is_none(self):
        """And goes out in order, before whatever comes then."""
        self.full()
        self.write(b"12", b"34")
        self.assertEqual(self.transport.value(), b"")
        self.outbox.resumeProducing()
        self.write(b"56")
        self.assertEqual(self.transport.value(), b"123456")
        self.assertEqual(self.told, ["ready"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_goes_on_as_far_as_the_transport_takes_it(self):
        """It may be full again in the middle; then nobody is told that it is ready."""
        self.full()
        self.write(b"12", b"34")
        self.transport.write = lambda octets: self.full()
        self.outbox.resumeProducing()
        self.assertEqual(self.told, [])
        del self.transport.write
        self.outbox.resumeProducing()
        self.assertEqual((self.transport.value(), self.told), (b"34", ["ready"]))

    def test_too_many_messages(self):
        self.full()
        self.write(b"12", b"34", b"56", b"78")
        self.assertEqual(self.told, ["more than 3 messages wait for it"])

    def test_too_many_octets(self):
        self.full()
        self.write(b"x" * 60, b"x" * 60)
        self.assertEqual(self.told, ["more than 100 octets wait for it"])

    def test_senders_wait_from_a_point_on(self):
        """They are released when less than that waits."""
        self.full()
        self.write(b"x" * 10)
        self.assertFalse(self.sender.held)
        self.write(b"x")
        self.assertTrue(self.sender.held)
        self.outbox.resumeProducing()
        self.assertFalse(self.sender.held)

    def test_nothing_taken_for_too_long(self):
        """The time counts from the last time that something was taken."""
        self.full()
        self.write(b"12", b"34")
        self.clock.advance(4)
        self.transport.write = lambda octets: self.full()
        self.outbox.resumeProducing()
        self.clock.advance(4)
        self.assertEqual(self.told, [])
        self.clock.advance(1)
        self.assertEqual(self.told, ["it has taken nothing for 5 s"])

    def test_close(self):
        """What waits is dropped for the last words, nothing is said after them, and nobody is held for it."""
        self.full()
        self.write(b"x" * 20)
        self.outbox.close(b"last")
        self.write(b"more")
        self.outbox.beat(b"\n")
        self.outbox.flush()
        self.assertEqual(self.transport.value(), b"last")
        self.assertFalse(self.sender.held)
        self.assertEqual(self.clock.getDelayedCalls(), [])
