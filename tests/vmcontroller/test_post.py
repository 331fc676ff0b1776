"""The host's words to the broker, and the guests' words in: who speaks is known from the destination alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from vmcontroller.post import Post
from vmcontroller.wire import words
from vmcontroller.wire.words import Aint, CmdAck, Pong, StillAlive, Who, Word

GROUPS = {"a": "default", "b": "other"}
OUT = "/topic/vmcontroller.d.default.a.out"


class Wire:
    """Post, with what it sent and what it heard."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str], Word]] = []
        self.heard: list[tuple[str, Word, int]] = []
        self.post = Post("d", GROUPS.get)
        self.post.sender = self
        self.post.hear = lambda *heard: self.heard.append(heard)

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> None:
        self.sent.append((destination, dict(headers), words.hear(headers, body)))

    def arrive(self, word: Word, destination: str = OUT, **headers: str) -> None:
        said, body = words.say(word)
        self.post.arrived(destination, said | {name.replace("_", "-"): text for name, text in headers.items()}, body)


@pytest.fixture
def wire() -> Wire:
    return Wire()


class TestSaying:
    """Words go to one guest or to a group."""

    def test_to_one(self, wire: Wire) -> None:
        """With who says it, to whom, and in which session."""
        wire.post.say("b", CmdAck("c", "results"), 7)
        ((destination, headers, word),) = wire.sent
        assert (destination, word) == ("/topic/vmcontroller.d.other.b.in", CmdAck("c", "results"))
        assert (headers["from"], headers["to"], headers["in-session"]) == ("d", "b", "7")

    def test_to_a_group(self, wire: Wire) -> None:
        """On the destination that all of the group hear."""
        wire.post.say_all("other", Who())
        assert wire.sent[0][0] == "/topic/vmcontroller.d.other.all"

    def test_to_nobody(self, wire: Wire) -> None:
        """A VM that is gone is told nothing."""
        wire.post.say("gone", Who(), 0)
        assert wire.sent == []

    def test_without_a_broker(self) -> None:
        """What cannot be said is dropped: it is repeated."""
        Post("d", GROUPS.get).say("a", Who(), 0)


class TestHearing:
    """Frames are strangers' until the destination says whose they are."""

    def test_heard(self, wire: Wire) -> None:
        """With the guest, and the session that it spoke in."""
        wire.arrive(StillAlive(), in_session="7")
        assert wire.heard == [("a", StillAlive(), 7)]

    def test_header_from_counts_for_nothing(self, wire: Wire) -> None:
        """A guest cannot speak as another."""
        wire.arrive(Pong("p", "t"), **{"from": "b", "to": "d"})
        assert [heard[0] for heard in wire.heard] == ["a"]

    @pytest.mark.parametrize(
        "destination",
        [
            "/topic/vmcontroller.other.default.a.out",
            "/topic/vmcontroller.d.other.a.out",
            "/topic/vmcontroller.d.default.gone.out",
            "/topic/vmcontroller.d.default.a.in",
            "/topic/vmcontroller.d.default.a.out.more",
            "/queue/vmcontroller.d.default.a.out",
            "/topic/vmcontroller.d.x.default.a.out",
            "",
        ],
    )
    def test_foreign(self, wire: Wire, destination: str) -> None:
        """Another daemon's guest, one that is none of ours, or in another group: not heard, and not answered."""
        wire.arrive(StillAlive(), destination)
        assert (wire.heard, wire.sent) == ([], [])

    @pytest.mark.parametrize(
        ("headers", "body", "why"),
        [
            ({}, b"", "a frame without the header word is not a word"),
            ({"word": "NONSENSE"}, b"{}", "NONSENSE is not a word"),
            ({"word": "HELLO", "nonce": "n"}, b"[]", "HELLO: the body is not a JSON object"),
            ({"word": "HELLO", "nonce": "n"}, b"\xff{", "HELLO: "),
            ({"word": "HELLO", "nonce": "n"}, b"{}", "HELLO: lacks id, journal, session"),
            ({"word": "PONG", "ping-id": "p"}, b"", "PONG: lacks timestamp"),
            ({"word": "STILL_ALIVE", "in-session": "-1"}, b"{}", "in-session is not a number"),
            ({"word": "x" * 5000}, b"", "is not a word"),
        ],
    )
    def test_no_word(self, wire: Wire, headers: dict[str, str], body: bytes, why: str) -> None:
        """The guest hears AINT with the reason, and nobody else hears of it."""
        wire.post.arrived(OUT, headers, body)
        assert wire.heard == []
        ((destination, _, answer),) = wire.sent
        assert destination == "/topic/vmcontroller.d.default.a.in"
        assert isinstance(answer, Aint)
        assert why in answer.why
        assert len(answer.about) <= 40

    def test_aint_that_is_no_word(self, wire: Wire) -> None:
        """It is not answered: else two that do not understand each other would never end."""
        wire.post.arrived(OUT, {"word": "AINT"}, b"[]")
        assert (wire.heard, wire.sent) == ([], [])

    def test_name_of_2009(self, wire: Wire) -> None:
        """CMD_RESULT is CMD_RESULTS."""
        wire.post.arrived(OUT, {"word": "CMD_RESULT", "cmd-id": "c"}, b'{"outcome": "exited"}')
        assert isinstance(wire.heard[0][1], words.CmdResults)
