"""Commands are written down, said, repeated, signalled and forgotten by the host."""

from __future__ import annotations

import pytest

from tests.vmcontroller.doubles import Host, results
from vmcontroller.controller import MOST_ASKED
from vmcontroller.errors import BadRequest, CommandConflict, CommandEnded, DiskFull, UnknownCommand
from vmcontroller.wire.words import Bye, CmdAccepted, CmdAck, CmdOutput, CmdRun, CmdSignal, CommandReport, Who


class TestRunning:
    """CMD_RUN goes to whom it is meant for, until it is answered."""

    def test_written_before_it_is_said(self, host: Host) -> None:
        """A daemon that dies in between knows of it."""
        known = []
        say = host.say
        host.say = lambda *said: known.append(host.ledger.command("c")) or say(*said)  # type: ignore[func-returns-value,method-assign]
        host.run("c", "a")
        assert known[0] is not None

    def test_repeated_until_accepted(self, host: Host) -> None:
        """After 2 and 4 seconds, then no more."""
        host.run("c", "a")
        host.clock.advance(2)
        host.clock.advance(4)
        assert [word.audience for _, word in host.said(CmdRun)] == [("a",)] * 3
        host.hear("a", CmdAccepted("c"))
        host.clock.advance(100)
        assert host.said(CmdRun) == []
        assert host.state("c", "a") == "accepted"

    def test_result_answers_it_too(self, host: Host) -> None:
        """CMD_ACCEPTED may be lost."""
        host.run("c", "a")
        host.hear("a", results("c", b"hello"))
        host.said()
        host.clock.advance(100)
        assert host.said(CmdRun) == []
        assert host.state("c", "a") == "exited"

    def test_accepted_late(self, host: Host) -> None:
        """A CMD_ACCEPTED that comes after the end moves nothing."""
        host.run("c", "a")
        host.hear("a", results("c"))
        host.hear("a", CmdAccepted("c"))
        assert host.state("c", "a") == "exited"

    def test_same_id(self, host: Host) -> None:
        """The same request is the same command; another one is refused."""
        assert host.run("c", "a", args=("1",)) == host.run("c", "a", args=("1",)) == "c"
        assert len(host.said(CmdRun)) == 1
        with pytest.raises(CommandConflict, match="choose another"):
            host.run("c", "a", args=("2",))

    @pytest.mark.parametrize(
        ("cmd_id", "request_", "why"),
        [
            ("../x", {}, "'../x' is not a command id"),
            ("c", {"limits": {"seconds": -1}}, "seconds is negative"),
            ("c", {"limits": {"second": 1}}, "limits has no field second"),
            ("c", {"stdin": {"kind": "pipe"}}, "kind is none of"),
            ("c", {"args": ("\ud800",)}, "half a surrogate"),
            ("c", {"args": ("x" * MOST_ASKED,)}, "writeStdin"),
        ],
    )
    def test_refused_before_it_is_written(self, host: Host, cmd_id: str, request_: dict, why: str) -> None:  # type: ignore[type-arg]
        """What no guest could understand, or no broker carry, is told to the caller and forgotten."""
        with pytest.raises(BadRequest, match=why):
            host.run(cmd_id, "a", **request_)
        assert host.ledger.command(cmd_id) is None
        assert host.said() == []

    def test_unknown(self, host: Host) -> None:
        """An id that stands for nothing."""
        with pytest.raises(UnknownCommand, match="listCmds"):
            host.controller.command("x")


class TestBroadcast:
    """One message for all who are ready."""

    def test_one_message(self, host: Host) -> None:
        """It names everybody it is meant for, in the largest session among them."""
        host.run("c", "a", "b")
        ((to, run),) = host.said()
        assert (to, run.audience) == ("all of default", ("a", "b"))
        assert run.session == max(guest.session for guest in host.ledger.guests())

    def test_each_is_asked_again_alone(self, host: Host) -> None:
        """Who has answered is left in peace."""
        host.run("c", "a", "b")
        host.said()
        host.hear("a", CmdAccepted("c"))
        host.clock.advance(2)
        ((to, run),) = host.said()
        assert (to, run.audience) == ("b", ("b",))

    def test_who_is_joining_is_told_afterwards(self, host: Host) -> None:
        """Between HELLO and its confirmation a guest takes no command; it gets its own."""
        session = host.hello("b", "new").session
        host.run("c", "a", "b")
        assert [to for to, _ in host.said(CmdRun)] == ["a"]
        host.hear("b", CmdAck("-", "session", session), session)
        assert [to for to, _ in host.said(CmdRun)] == ["b"]

    def test_nobody_is_there(self, host: Host) -> None:
        """A command for VMs that all sleep waits."""
        host.hear("a", Bye())
        host.hear("b", Bye())
        host.run("c", "a", "b")
        assert host.said() == []
        assert host.state("c", "a") == "sent"


class TestSignals:
    """A signal is said until it is confirmed, and done once."""

    def test_repeated_until_confirmed(self, host: Host) -> None:
        """Always the same signal-id, by which the guest knows it again."""
        host.run("c", "a")
        host.controller.signal("c", 15, host.ledger.parts("c"))
        host.clock.advance(2)
        said = [word for _, word in host.said(CmdSignal)]
        assert len(said) == 2
        assert len({word.signal_id for word in said}) == 1
        host.hear("a", CmdAck("c", "signal", signal_id=said[0].signal_id))
        host.clock.advance(100)
        assert host.said(CmdSignal) == []
        assert host.ledger.signals("a") == []

    def test_confirmed_by_another(self, host: Host) -> None:
        """No guest can confirm for another."""
        host.run("c", "a")
        host.controller.signal("c", 15, host.ledger.parts("c"))
        ((_, word),) = host.said(CmdSignal)
        host.hear("b", CmdAck("c", "signal", signal_id=word.signal_id))
        assert len(host.ledger.signals("a")) == 1
        host.clock.advance(2)
        assert len(host.said(CmdSignal)) == 1

    def test_the_end_ends_it(self, host: Host) -> None:
        """No signal is said of a command that has ended."""
        host.run("c", "a")
        host.controller.signal("c", 15, host.ledger.parts("c"))
        host.hear("a", results("c"))
        host.said()
        host.clock.advance(100)
        assert host.said() == []
        assert host.ledger.signals("a") == []
        with pytest.raises(CommandEnded, match="has ended"):
            host.controller.signal("c", 15, host.ledger.parts("c"))

    def test_only_where_it_runs(self, host: Host) -> None:
        """Of two VMs the one that has ended is spared."""
        host.run("c", "a", "b")
        host.hear("a", results("c"))
        host.said()
        host.controller.signal("c", 2, host.ledger.parts("c"))
        assert [(to, word.signal) for to, word in host.said()] == [("b", 2)]


class TestForget:
    """An ended command can be removed, with all that it printed."""

    def test_forgotten(self, host: Host) -> None:
        """Nothing is left, on disk either."""
        host.run("c", "a")
        host.hear("a", CmdOutput("c", "out", 0, b"abc"))
        host.hear("a", results("c", b"abc", along=False))
        host.controller.forget("c")
        assert host.ledger.command("c") is None
        assert host.outputs.length("c", "a", "out") == 0

    def test_while_it_runs(self, host: Host) -> None:
        """It must have ended everywhere."""
        host.run("c", "a", "b")
        host.hear("a", results("c"))
        with pytest.raises(BadRequest, match="signalCmd"):
            host.controller.forget("c")


class TestStrangers:
    """Commands of guests that the ledger does not know are the operator's business."""

    @pytest.fixture
    def foreign(self, host: Host) -> Host:
        host.join("a", nonce="with", commands={"x": CommandReport("running", 5)})
        host.said()
        return host

    def test_shown_and_not_confirmed(self, foreign: Host) -> None:
        """Nothing is confirmed by itself."""
        foreign.hear("a", CmdOutput("x", "out", 5, b"abc"))
        foreign.hear("a", results("x"))
        assert foreign.said() == []
        assert foreign.ledger.strangers() == [("a", "x", "running", False)]

    def test_killed(self, foreign: Host) -> None:
        """SIGKILL and WHO; from then on what it says is confirmed and dropped, and its end forgotten."""
        foreign.controller.kill_stranger("a", "x")
        assert [type(word) for _, word in foreign.said()] == [CmdSignal, Who]
        foreign.hear("a", CmdOutput("x", "out", 5, b"abc"))
        assert foreign.said() == [("a", CmdAck("x", "out", 8))]
        assert foreign.hello("a", "new", commands={"x": CommandReport("finished", 8)}).verdicts["x"].verdict == "keep"
        foreign.hear("a", results("x"))
        assert foreign.said(CmdAck) == [("a", CmdAck("x", "results"))]
        assert foreign.ledger.strangers() == []

    def test_killed_while_its_guest_is_away(self, foreign: Host) -> None:
        """It is told when the guest joins."""
        foreign.hear("a", Bye())
        foreign.controller.kill_stranger("a", "x")
        assert foreign.said() == []
        foreign.join("a", nonce="new", commands={"x": CommandReport("running", 5)})
        assert [word.cmd_id for _, word in foreign.said(CmdSignal)] == ["x"]

    def test_unknown(self, foreign: Host) -> None:
        """Only what a guest speaks of can be killed."""
        with pytest.raises(UnknownCommand, match="listForeignCmds"):
            foreign.controller.kill_stranger("a", "y")

    def test_gone_by_itself(self, foreign: Host) -> None:
        """A guest that speaks of it no more has none."""
        foreign.join("a", nonce="without")
        assert foreign.ledger.strangers() == []


def test_disk_is_full(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that the ledger has no room for is not confirmed; said again when there is room, it counts."""

    def full(*arguments: object) -> None:
        raise DiskFull("no room")

    host.run("c", "a")
    host.said()
    with monkeypatch.context() as patch:
        patch.setattr(host.ledger, "end", full)
        host.hear("a", results("c"))
    assert host.said() == []
    host.hear("a", results("c"))
    assert host.said() == [("a", CmdAck("c", "results"))]
