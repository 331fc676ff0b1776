"""Input goes from the spool to every guest, as fast as the slowest lets it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from tests.vmcontroller.doubles import Host, result, results
from vmcontroller.errors import BadRequest, CommandEnded
from vmcontroller.feeding import LONGEST_WAIT, MOST_AHEAD, PATIENCE
from vmcontroller.outputs import STDIN
from vmcontroller.wire.words import CHUNK, WINDOW, Bye, CmdAck, CmdStdin

STREAM = {"stdin": {"kind": "stream"}}


def write(host: Host, data: bytes, cmd_id: str = "c") -> Deferred[None]:
    return ensureDeferred(host.controller.write_stdin(cmd_id, data))


def heard(host: Host, vm: str = "a") -> list[tuple[int, bytes, bool]]:
    """The input that a guest was sent since this was asked: offset, octets, end-of-file."""
    return [(word.offset, word.data, word.eof) for to, word in host.said(CmdStdin) if to == vm]


@pytest.fixture
def running(host: Host) -> Host:
    """A command that reads its input runs at a."""
    host.run("c", "a", **STREAM)
    host.said()
    return host


class TestFlow:
    """Octets by offset, at most WINDOW under way."""

    def test_as_it_comes(self, running: Host) -> None:
        """Each piece once, at its offset; then end-of-file."""
        result(write(running, b"abc"))
        result(write(running, b"def"))
        running.controller.close_stdin("c")
        assert heard(running) == [(0, b"abc", False), (3, b"def", False), (6, b"", True)]

    def test_window(self, running: Host) -> None:
        """The rest follows what is confirmed."""
        write(running, b"x" * (WINDOW + 10))
        assert sum(len(data) for _, data, _ in heard(running)) == WINDOW
        running.hear("a", CmdAck("c", "stdin", CHUNK))
        assert heard(running) == [(WINDOW, b"x" * 10, False)]

    def test_said_again(self, running: Host) -> None:
        """Without a confirmation the first chunk is said again, ever more seldom."""
        write(running, b"abc")
        heard(running)
        running.clock.advance(PATIENCE)
        running.clock.advance(2 * PATIENCE)
        assert heard(running) == [(0, b"abc", False)] * 2
        running.hear("a", CmdAck("c", "stdin", 3))
        running.clock.advance(100)
        assert heard(running) == []

    def test_end_of_file_is_said_until_the_end(self, running: Host) -> None:
        """It has no confirmation of its own."""
        running.controller.close_stdin("c")
        running.clock.advance(PATIENCE)
        assert heard(running) == [(0, b"", True)] * 2
        running.hear("a", results("c"))
        running.clock.advance(100)
        assert heard(running) == []

    def test_after_joining_anew(self, running: Host) -> None:
        """The guest is given all of it; what it has it confirms, and the rest follows."""
        write(running, b"abc")
        running.hear("a", CmdAck("c", "stdin", 3))
        running.hear("a", Bye())
        result(write(running, b"def"))
        heard(running)
        running.join("a", nonce="anew")
        assert heard(running) == [(0, b"abcdef", False)]
        running.hear("a", CmdAck("c", "stdin", 3))
        running.clock.advance(PATIENCE)
        assert heard(running) == [(3, b"def", False)]

    def test_several(self, host: Host) -> None:
        """Every VM gets the same, each at its own pace."""
        host.run("c", "a", "b", **STREAM)
        write(host, b"x" * (WINDOW + 1))
        host.said()
        host.hear("b", CmdAck("c", "stdin", WINDOW))
        assert [(to, word.offset) for to, word in host.said(CmdStdin)] == [("b", WINDOW)]


class TestRefused:
    """Input that nobody would read is told to who writes it."""

    def test_closed(self, running: Host) -> None:
        """After closeStdin nothing follows."""
        running.controller.close_stdin("c")
        with pytest.raises(CommandEnded, match="closed already"):
            result(write(running, b"x"))

    def test_ended(self, running: Host) -> None:
        """Nor after the end."""
        running.hear("a", results("c"))
        with pytest.raises(CommandEnded, match="reads no more input"):
            result(write(running, b"x"))
        with pytest.raises(CommandEnded, match="reads no more input"):
            running.controller.close_stdin("c")

    def test_takes_none(self, host: Host) -> None:
        """The sentence says how to run a command that takes input."""
        host.run("c", "a")
        with pytest.raises(BadRequest, match="stdin='stream'"):
            result(write(host, b"x"))


class TestBackpressure:
    """Who writes faster than the program reads is made to wait."""

    def test_until_it_is_read(self, running: Host) -> None:
        """The call returns when less than MOST_AHEAD octets are unconfirmed."""
        result(write(running, b"x" * (MOST_AHEAD - 1)))
        second = write(running, b"y")
        assert not second.called
        running.hear("a", CmdAck("c", "stdin", 1))
        assert second.called

    def test_the_slowest_counts(self, host: Host) -> None:
        """One VM that does not read holds the writer, until it has ended."""
        host.run("c", "a", "b", **STREAM)
        waiting = write(host, b"x" * MOST_AHEAD)
        host.hear("a", CmdAck("c", "stdin", MOST_AHEAD))
        assert not waiting.called
        host.hear("b", results("c"))
        assert waiting.called

    def test_not_for_ever(self, running: Host) -> None:
        """What was written is kept all the same."""
        waiting = write(running, b"x" * MOST_AHEAD)
        running.clock.advance(LONGEST_WAIT)
        assert result(waiting) is None
        assert running.outputs.length("c", "", STDIN) == MOST_AHEAD

    def test_a_vm_that_sleeps(self, host: Host) -> None:
        """It has taken nothing yet."""
        host.hear("a", Bye())
        host.run("c", "a", **STREAM)
        waiting = write(host, b"x" * MOST_AHEAD)
        assert not waiting.called
        host.clock.advance(LONGEST_WAIT)
        assert waiting.called
