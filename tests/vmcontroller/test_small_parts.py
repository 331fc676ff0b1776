"""Guests that are alive, words that are repeated, callers that wait."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller import errors
from vmcontroller.guests import Guests
from vmcontroller.repeats import Repeats
from vmcontroller.waiters import Waiters
from vmcontroller.wire.words import Hello, StillAlive

HELLO = Hello("n", "vm", "j", 1)
KEY = ("vm", "word")


class GuestsTests(SynchronousTestCase):
    """A guest lives while it is heard."""

    def test_unknown_guest(self) -> None:
        """A beacon of one that has not joined is not taken for life."""
        self.assertFalse(Guests(30).heard("vm", 0.0, StillAlive()))

    def test_warned_once_then_dropped(self) -> None:
        """After grace it is warned of, once; after 1.5 times grace it is to be dropped."""
        guests = Guests(30)
        guests.joined("vm", HELLO, 0.0)
        self.assertEqual(guests.silent(29), ([], []))
        self.assertEqual(guests.silent(31), (["vm"], []))
        self.assertEqual(guests.silent(32), ([], []))
        self.assertEqual(guests.silent(46), ([], ["vm"]))

    def test_word_renews(self) -> None:
        """Any word counts as a sign of life, and the next silence is warned of again."""
        guests = Guests(30)
        guests.joined("vm", HELLO, 0.0)
        guests.silent(31)
        guests.heard("vm", 40)
        self.assertEqual(guests.silent(50), ([], []))
        self.assertEqual(guests.silent(71), (["vm"], []))


class RepeatsTests(SynchronousTestCase):
    """A word is said until it is answered, ever more seldom."""

    def setUp(self) -> None:
        self.clock, self.said = Clock(), []  # type: ignore[var-annotated]
        self.repeats = Repeats(self.clock)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def _say(self) -> None:
        self.said.append(self.clock.seconds())

    def test_waits_grow(self) -> None:
        """2, 4, 8, 16, then every 30 seconds."""
        self.repeats.start(KEY, self._say)
        self.clock.pump([1.0] * 95)
        self.repeats.stop_all()
        self.assertEqual(self.said, [0, 2, 6, 14, 30, 60, 90])

    def test_answered(self) -> None:
        """Nothing is said after stop, and a second stop is harmless."""
        self.repeats.later(KEY, self._say)
        self.assertTrue(self.repeats.running(KEY))
        self.repeats.stop(KEY)
        self.repeats.stop(KEY)
        self.clock.advance(100)
        self.assertEqual(self.said, [])

    def test_nothing_more_to_one(self) -> None:
        """A guest that is gone is told nothing; the others are."""
        self.repeats.later(KEY, self._say)
        self.repeats.later(("other", "word"), self._say)
        self.repeats.stop_all("vm")
        self.clock.advance(2)
        self.assertEqual(self.said, [2])
        self.repeats.stop_all()


class WaitersTests(SynchronousTestCase):
    """A caller waits until something holds, or its time is up."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.waiters = Waiters(self.clock)
        self.holds = False
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def test_holds_already(self) -> None:
        """No wait where none is needed."""
        self.assertTrue(self.successResultOf(ensureDeferred(self.waiters.until("k", lambda: True, 0))))

    def test_notified(self) -> None:
        """Each notification has the condition looked at again."""
        waiting = ensureDeferred(self.waiters.until("k", lambda: self.holds, 10))
        self.waiters.notify("k")
        self.assertNoResult(waiting)
        self.holds = True
        self.waiters.notify("k")
        self.assertTrue(self.successResultOf(waiting))

    def test_time_is_up(self) -> None:
        """The whole wait is bounded, however often it is notified in vain."""
        waiting = ensureDeferred(self.waiters.until("k", lambda: self.holds, 10))
        self.clock.advance(6)
        self.waiters.notify("k")
        self.clock.advance(6)
        self.assertFalse(self.successResultOf(waiting))

    def test_closed(self) -> None:
        """When the daemon stops everybody goes, and nobody waits any more."""
        waiting = ensureDeferred(self.waiters.until("k", lambda: self.holds, 10))
        self.waiters.close()
        self.assertFalse(self.successResultOf(waiting))
        self.assertFalse(self.successResultOf(ensureDeferred(self.waiters.until("k", lambda: self.holds, 10))))


class FaultCodesTests(SynchronousTestCase):
    """The codes by which programs tell errors apart."""

    def test_every_error_has_a_code_of_its_own(self) -> None:
        """No two share one, and none forgets to say its own."""
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)]
        every = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        self.assertEqual(kinds, every)
        self.assertEqual(len({kind.code for kind in kinds}), len(kinds))
