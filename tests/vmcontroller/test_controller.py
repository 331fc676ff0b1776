"""How guests join and leave, and what the host makes of what they say of themselves."""

from __future__ import annotations

import pytest
from twisted.internet.defer import ensureDeferred

from tests.vmcontroller.doubles import NOW, Host, result, results
from vmcontroller.errors import PingTimeout
from vmcontroller.wire import keys
from vmcontroller.wire.words import (
    Aint,
    Bye,
    CmdAccepted,
    CmdAck,
    CmdOutput,
    CmdRun,
    CmdSignal,
    CommandReport,
    Hello,
    Ping,
    Pong,
    StillAlive,
    Who,
)


class TestJoining:
    """A guest joins when it has confirmed what it was offered, not before."""

    def test_welcome(self, host: Host) -> None:
        """WELCOME proves the secret, brings the time and a number larger than any before."""
        host.add("c")
        welcome = host.hello("c", "nonce")
        assert welcome.proof == keys.welcome_proof("secret of c", "c", "nonce", welcome.session)
        assert (welcome.nonce, welcome.time) == ("nonce", NOW)
        assert welcome.session > max(guest.session for guest in host.ledger.guests())
        assert host.controller.guests.get("c") is None

    def test_confirmed(self, host: Host) -> None:
        """The guest is alive once it confirms, and its number stands on disk."""
        host.add("c")
        session = host.hello("c").session
        host.hear("c", CmdAck("-", "session", session), session)
        assert host.controller.guests.get("c") is not None
        guest = host.ledger.guest("c")
        assert guest is not None
        assert (guest.session, guest.journal) == (session, "j")

    def test_any_word_in_the_offered_session_confirms(self, host: Host) -> None:
        """Who speaks in a session has written it down."""
        host.add("c")
        host.hear("c", StillAlive(), host.hello("c").session)
        assert host.controller.guests.get("c") is not None

    def test_verdicts(self, host: Host) -> None:
        """WELCOME judges each command that HELLO names."""
        host.run("done", "a")
        host.run("runs", "a")
        host.hear("a", results("done"))
        host.hear("a", CmdAccepted("runs"))
        host.hear("a", CmdOutput("runs", "out", 0, b"abc"))
        reports = {
            "done": CommandReport("finished"),
            "runs": CommandReport("running", 9),
            "odd": CommandReport("running"),
        }
        host.said()
        verdicts = host.hello("a", "again", commands=reports).verdicts
        assert {cmd_id: verdict.verdict for cmd_id, verdict in verdicts.items()} == {
            "done": "forget",
            "runs": "keep",
            "odd": "foreign",
        }
        assert verdicts["runs"].out == 3

    def test_wakes_who_waits_for_it(self, host: Host) -> None:
        """waitForVM ends when the guest is there."""
        host.add("c")
        alive = lambda: host.controller.guests.get("c") is not None  # noqa: E731
        waiting = ensureDeferred(host.controller.waiters.until(("vm", "c"), alive, 60))
        host.join("c")
        assert result(waiting) is True

    def test_what_it_lacks_is_said_at_once(self, host: Host) -> None:
        """A command that was asked for while the guest was away, and a signal."""
        host.hear("a", Bye("sleepy"))
        host.run("c", "a")
        host.controller.signal("c", 15, host.ledger.parts("c"))
        assert host.said() == []
        host.join("a", nonce="again")
        host.clock.advance(0)
        assert [type(word) for _, word in host.said()] == [CmdRun, CmdSignal]

    def test_rolled_back(self, host: Host) -> None:
        """A smaller number from the same journal: what it had accepted since is rolledBack."""
        host.run("c", "a")
        host.hear("a", CmdAccepted("c"))
        host.join("a", nonce="older", session=0)
        assert host.state("c", "a") == "rolledBack"

    def test_restored_by_us(self, host: Host) -> None:
        """The host knows that it restored the VM, whatever number the guest comes with."""
        host.run("c", "a", replay=True)
        host.hear("a", CmdAccepted("c"))
        host.controller.restored("a")
        assert host.controller.guests.get("a") is None
        host.said()
        host.join("a", nonce="older")
        assert host.state("c", "a") == "sent"
        assert [to for to, _ in host.said(CmdRun)] == ["a"]

    def test_other_disk(self, host: Host) -> None:
        """Another journal: what was accepted is lost."""
        host.run("c", "a")
        host.hear("a", CmdAccepted("c"))
        host.join("a", nonce="new", session=0, journal="other")
        assert host.state("c", "a") == "lost"


class TestSessions:
    """What was said in another session is void."""

    def test_void(self, host: Host) -> None:
        """A result of an older session changes nothing and is not confirmed."""
        host.run("c", "a")
        host.said()
        host.hear("a", results("c"), session=0)
        assert host.state("c", "a") == "sent"
        assert host.said(CmdAck) == []

    def test_words_that_need_no_session(self, host: Host) -> None:
        """A beacon counts, whenever it was said."""
        host.hear("a", StillAlive(load=(1.0, 2.0, 3.0)), session=0)
        guest = host.controller.guests.get("a")
        assert guest is not None
        assert guest.beacon.load == (1.0, 2.0, 3.0)

    def test_forgotten_offer(self, host: Host) -> None:
        """Who speaks in a session that we do not know is asked who it is, once at a time."""
        for _ in range(3):
            host.hear("a", StillAlive(), session=99)
        assert host.said(Who) == [("a", Who())]
        host.join("a", nonce="new", session=99)
        host.clock.advance(100)
        assert host.said(Who) == []

    def test_stranger(self, host: Host) -> None:
        """Who is none of our guests gets no answer."""
        host.controller.heard("nobody", Hello("n", "nobody", "j", 0), 0)
        host.controller.heard("nobody", Who(), 0)
        assert host.said() == []

    def test_word_of_a_host(self, host: Host) -> None:
        """What only a host says is not understood."""
        host.hear("a", Who())
        ((to, answer),) = host.said()
        assert (to, answer.about) == ("a", "WHO")

    def test_aint_is_not_answered(self, host: Host) -> None:
        """Else two that do not understand each other would never end."""
        host.hear("a", Aint("X", "why"))
        assert host.said() == []


class TestLife:
    """Who is alive, and who is asked."""

    def test_who(self, host: Host) -> None:
        """Asked again until it joins anew."""
        host.controller.ask_who("a")
        host.clock.advance(5)
        host.clock.advance(10)
        assert len(host.said(Who)) == 3
        host.join("a", nonce="new")
        host.clock.advance(100)
        assert host.said(Who) == []

    def test_beacon_of_one_that_was_given_up(self, host: Host) -> None:
        """It is asked for HELLO."""
        host.controller.stopped("a")
        host.controller.stopped("b")
        assert host.controller.guests.alive() == []
        host.hear("a", StillAlive())
        assert host.said(Who) == [("a", Who())]

    def test_silence_stops_what_is_repeated(self, host: Host) -> None:
        """Nobody is there to hear it; it is said when the guest has joined again."""
        host.run("c", "a")
        host.controller.stopped("a")
        host.said()
        host.clock.advance(100)
        assert host.said() == []
        host.join("a", nonce="back")
        assert [word.cmd_id for _, word in host.said(CmdRun)] == ["c"]

    def test_bye(self, host: Host) -> None:
        """It leaves; what it was to be told waits for it."""
        host.run("c", "a")
        host.hear("a", Bye("the machine stops"))
        host.said()
        host.clock.advance(100)
        assert host.controller.guests.alive() == ["b"]
        assert host.said() == []

    def test_removed(self, host: Host) -> None:
        """What a VM that is gone had not told is lost, for good, and its secret goes with it."""
        host.run("c", "a", "b")
        host.controller.signal("c", 15, host.ledger.parts("c"))
        host.controller.removed("a")
        part = host.ledger.part("c", "a")
        assert part is not None
        assert (part.state, part.result["reason"]) == ("lost", "the VM was removed")
        assert host.ledger.guest("a") is None
        assert host.state("c", "b") == "sent"
        host.said()
        host.clock.advance(10)
        assert {to for to, _ in host.said()} == {"b"}


class TestPing:
    """PONG within the time that the caller gave."""

    def test_pong(self, host: Host) -> None:
        """The PONG of this PING."""
        asked = ensureDeferred(host.controller.ping("a", 5))
        ((_, ping),) = host.said(Ping)
        host.hear("a", Pong(ping.ping_id, ping.timestamp))
        assert result(asked) is None

    def test_of_another(self, host: Host) -> None:
        """Neither another guest's nor an older PONG will do, and a late one wakes nobody."""
        asked = ensureDeferred(host.controller.ping("a", 5))
        ((_, ping),) = host.said(Ping)
        host.hear("b", Pong(ping.ping_id, ping.timestamp))
        host.hear("a", Pong("another", ping.timestamp))
        host.clock.advance(5)
        with pytest.raises(PingTimeout, match="no PONG within 5 s"):
            result(asked)
        host.hear("a", Pong(ping.ping_id, ping.timestamp))

    def test_of_a_guest_that_joins_meanwhile(self, host: Host) -> None:
        """It is asked again when it is there to hear it: a VM that was just started answers at once."""
        host.add("c")
        asked = ensureDeferred(host.controller.ping("c", 5))
        session = host.hello("c").session
        host.said()
        host.hear("c", CmdAck("-", "session", session), session)
        ((to, ping),) = host.said(Ping)
        assert to == "c"
        host.hear("c", Pong(ping.ping_id, ping.timestamp), session)
        assert result(asked) is None


def test_closed(host: Host) -> None:
    """Nothing is said after the end, and nobody waits."""
    host.run("c", "a")
    waiting = ensureDeferred(host.controller.waiters.until(("cmd", "c"), lambda: False, 60))
    host.controller.close()
    assert result(waiting) is False
    host.said()
    host.clock.advance(100)
    assert host.said() == []
