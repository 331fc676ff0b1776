"""The codec: every sample whole, cut at every octet, and with more behind it."""

from __future__ import annotations

import contextlib
import time

import pytest
import stomper
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.wire.stomp import Frame, FrameLimits, Parser, ProtocolError, Version, encode

V1_0, V1_1, V1_2 = Version

SMALL = FrameLimits(headers=3, line=40, body=20)

#: name, version, octets, and the frames that they are.
SAMPLES = [
    ("no headers", V1_2, b"DISCONNECT\n\n\0", [Frame("DISCONNECT")]),
    ("a body", V1_2, b"SEND\na:b\n\nhello\0\n", [Frame("SEND", {"a": "b"}, b"hello")]),
    (
        "NUL and line feeds in a counted body",
        V1_2,
        b"SEND\ncontent-length:5\n\n\0\n\n\0x\0\n",
        [Frame("SEND", {"content-length": "5"}, b"\0\n\n\0x")],
    ),
    ("an empty counted body", V1_1, b"SEND\ncontent-length:0\n\n\0", [Frame("SEND", {"content-length": "0"})]),
    ("lines that end in CR LF", V1_2, b"ACK\r\nid:7\r\n\r\n\0\r\n", [Frame("ACK", {"id": "7"})]),
    ("CR LF and LF mixed", V1_2, b"ACK\r\nid:7\n\r\n\0\n", [Frame("ACK", {"id": "7"})]),
    ("CR belongs to the value in 1.1", V1_1, b"ACK\nid:7\r\n\n\0\n", [Frame("ACK", {"id": "7\r"})]),
    (
        "CONNECT may use CR LF before anything is agreed",
        None,
        b"CONNECT\r\na:b\r\n\r\n\0",
        [Frame("CONNECT", {"a": "b"})],
    ),
    ("STOMP is CONNECT", None, b"STOMP\nhost:h\n\n\0", [Frame("CONNECT", {"host": "h"})]),
    ("the first of repeated headers counts", V1_2, b"ACK\nid:1\nid:2\n\n\0", [Frame("ACK", {"id": "1"})]),
    ("a colon in a value", V1_2, b"ACK\nid:a:b\n\n\0", [Frame("ACK", {"id": "a:b"})]),
    ("spaces are kept", V1_2, b"ACK\n id : 7 \n\n\0", [Frame("ACK", {" id ": " 7 "})]),
    ("an empty value", V1_2, b"ACK\nid:\n\n\0", [Frame("ACK", {"id": ""})]),
    ("escapes of 1.2", V1_2, b"ACK\na\\cb:\\n\\r\\\\n\n\n\0", [Frame("ACK", {"a:b": "\n\r\\n"})]),
    ("escapes of 1.1", V1_1, b"ACK\na\\cb:\\n\\\\r\n\n\0", [Frame("ACK", {"a:b": "\n\\r"})]),
    ("1.0 has no escapes", V1_0, b"ACK\na:\\n\\x\n\n\0", [Frame("ACK", {"a": "\\n\\x"})]),
    ("1.0 does not mind spaces", V1_0, b"ACK\nid : 7 \n\n\0", [Frame("ACK", {"id": "7"})]),
    ("CONNECTED is never escaped", V1_2, b"CONNECTED\na:\\x\n\n\0", [Frame("CONNECTED", {"a": "\\x"})]),
    ("UTF-8 in headers", V1_2, "ACK\nid:\u03bc\u2192\n\n\0".encode(), [Frame("ACK", {"id": "\u03bc\u2192"})]),
    (
        "heart-beats before, between and behind",
        V1_2,
        b"\n\n\r\nACK\nid:1\n\n\0\n\n\n\r\n\nACK\nid:2\n\n\0\n\n",
        [Frame("ACK", {"id": "1"}), Frame("ACK", {"id": "2"})],
    ),
    (
        "no end of line between frames",
        V1_2,
        b"SEND\n\none\0SEND\n\ntwo\0",
        [Frame("SEND", body=b"one"), Frame("SEND", body=b"two")],
    ),
]

#: what is wrong, version, octets, and what the error says.
FAULTS = [
    ("garbage", None, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "'GET / HTTP/1.1' is no STOMP command"),
    ("a long line", None, b"x" * 60, "longer than 40 octets"),
    ("a long line in whole headers", V1_2, b"SEND\na:" + b"x" * 60 + b"\n\n\0", "longer than 40 octets"),
    ("headers without an end", V1_2, b"SEND\n" + b"a:b\n" * 60, "longer than 160 octets"),
    ("too many headers", V1_2, b"SEND\na:b\nb:c\nc:d\nd:e\n\n\0", "more than 3 headers"),
    ("no colon", V1_2, b"SEND\nnonsense\n\n\0", "'nonsense' has no colon"),
    ("an escape that there is not", V1_2, b"ACK\na:\\t\n\n\0", "\\t is no escape in STOMP 1.2"),
    ("an escape of 1.2 in 1.1", V1_1, b"ACK\na:\\r\n\n\0", "\\r is no escape in STOMP 1.1"),
    ("a lonely backslash", V1_2, b"ACK\na:x\\\n\n\0", "\\ is no escape"),
    ("headers that are not UTF-8", V1_2, b"ACK\na:\xff\n\n\0", "not UTF-8"),
    ("NUL before the blank line", V1_0, b"DISCONNECT\nreceipt:r1\n\0\n", "NUL came before the blank line"),
    ("NUL in a header", V1_2, b"ACK\nid:a\0b\n\n\0", "NUL came before the blank line"),
    ("a length that is no number", V1_2, b"SEND\ncontent-length:-1\n\n\0", "no number of octets"),
    ("a length that is too large", V1_2, b"SEND\ncontent-length:21\n\n", "longer than 20 octets"),
    ("a body that is too long", V1_2, b"SEND\n\n" + b"x" * 21, "longer than 20 octets"),
    ("a length that is too small", V1_2, b"SEND\ncontent-length:2\n\nabc\0", "no NUL follows"),
    ("a body where none may be", V1_2, b"ACK\nid:1\n\nx\0", "ACK has a body"),
    ("a counted body where none may be", V1_2, b"ACK\ncontent-length:1\n\n", "ACK has a body"),
]


def named(rows: list[tuple]) -> list:
    return [pytest.param(*row, id=name) for name, *row in rows]


def parser(version: Version | None, *limits: FrameLimits) -> Parser:
    parser = Parser(*limits)
    parser.version = version
    return parser


def frames(version: Version | None, *pieces: bytes) -> list[Frame]:
    reader = parser(version)
    return [frame for piece in pieces for frame in reader.feed(piece)]


@pytest.mark.parametrize(("version", "octets", "expected"), named(SAMPLES))
class TestSamples:
    """What is well-formed is read, however it arrives."""

    def test_whole(self, version, octets, expected):
        assert frames(version, octets) == expected

    def test_cut_anywhere(self, version, octets, expected):
        for cut in range(1, len(octets)):
            assert frames(version, octets[:cut], octets[cut:]) == expected

    def test_octet_by_octet(self, version, octets, expected):
        assert frames(version, *(bytes([octet]) for octet in octets)) == expected

    def test_with_more_behind(self, version, octets, expected):
        reader = parser(version)
        assert list(reader.feed(octets + b"SEND\ncontent-length:3\n\na")) == expected
        assert reader.partial
        assert list(reader.feed(b"bc\0")) == [Frame("SEND", {"content-length": "3"}, b"abc")]
        assert not reader.partial


@pytest.mark.parametrize(("version", "octets", "rule"), named(FAULTS))
class TestFaults:
    """What is not well-formed is refused with the rule that it breaks, however it arrives."""

    def test_whole(self, version, octets, rule):
        with pytest.raises(ProtocolError) as caught:
            list(parser(version, SMALL).feed(octets))
        assert rule in str(caught.value)

    def test_octet_by_octet(self, version, octets, rule):
        reader = parser(version, SMALL)
        with pytest.raises(ProtocolError):
            [list(reader.feed(bytes([octet]))) for octet in octets]


class TestParser:
    def test_frames_before_a_fault_are_given(self):
        """Whoever drives the parser can obey what was right before he refuses what is wrong."""
        found = parser(V1_2).feed(b"SEND\n\na\0SEND\n\nb\0nonsense\n\n\0")
        assert [next(found).body, next(found).body] == [b"a", b"b"]
        with pytest.raises(ProtocolError):
            next(found)

    def test_version_may_change_between_two_frames_of_one_read(self):
        """Frames that come in one piece with CONNECT are read by the rules that CONNECT has set."""
        reader, values = parser(None), []
        for frame in reader.feed(b"CONNECT\na:\\n\n\n\0SEND\na:\\n\n\n\0"):
            values.append(frame.headers["a"])
            reader.version = V1_2
        assert values == ["\\n", "\n"]

    def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(self):
        """100 MB are never waited for."""
        with pytest.raises(ProtocolError, match="longer than 16777216 octets"):
            list(parser(V1_2).feed(b"SEND\ndestination:/topic/a\ncontent-length:104857600\n\n"))

    def test_heart_beats_are_no_partial_frame(self):
        reader = parser(V1_2)
        assert list(reader.feed(b"\n\n\r\n")) == []
        assert not reader.partial

    @pytest.mark.parametrize(
        "piece",
        [b"SEND\r\na:b\r\n\r\nx\0\n", b"SEND\ncontent-length:1\n\nx\0", b"SEND\na:b\n\nx\0", b"\n" * 10],
        ids=["CR LF", "counted", "uncounted", "heart-beats"],
    )
    def test_time_is_linear(self, piece):
        """Ten times as much in one burst takes about ten times as long; a quadratic parser takes a hundred."""

        def seconds(count: int) -> float:
            started = time.process_time()
            for _ in parser(V1_2).feed(piece * count):
                pass
            return time.process_time() - started

        assert min(seconds(30_000) for _ in range(3)) < 40 * min(seconds(3_000) for _ in range(3)) + 0.1

    def test_a_large_body_in_small_pieces_is_linear(self):
        """16 MiB in 16,384 pieces is a matter of a moment."""
        body, reader = b"\1" * (16 * 1024 * 1024), parser(V1_2)
        started = time.perf_counter()
        found = list(reader.feed(b"SEND\n\n"))
        for start in range(0, len(body), 1024):
            found += reader.feed(body[start : start + 1024])
        found += reader.feed(b"\0")
        assert [len(frame.body) for frame in found] == [len(body)]
        assert time.perf_counter() - started < 5


class TestEncode:
    def test_ends_in_nul_and_line_feed(self):
        """stomper's own buffer waits for ever without the line feed."""
        assert encode(Frame("DISCONNECT", {"receipt": "1"}), V1_2) == b"DISCONNECT\nreceipt:1\n\n\0\n"

    def test_content_length_is_always_right(self):
        octets = encode(Frame("SEND", {"content-length": "99", "a": "b"}, b"x\0y"), V1_2)
        assert octets == b"SEND\na:b\ncontent-length:3\n\nx\0y\0\n"

    def test_pack_is_ours_and_not_the_one_that_loses_octets(self):
        assert Frame("SEND", {}, b"\0").pack() == b"SEND\ncontent-length:1\n\n\0\0\n"

    def test_commands_are_those_of_stomper(self):
        with pytest.raises(stomper.FrameError):
            Frame("SHOUT")

    @pytest.mark.parametrize("version", Version)
    def test_no_value_forges_a_header(self, version):
        """Not even in 1.0, which has no escapes."""
        evil = {"x": "1\nreceipt:forged", "y\nreceipt": "forged", "z:receipt": "2"}
        found = frames(version, encode(Frame("SEND", evil), version))
        assert len(found) == 1
        assert "receipt" not in found[0].headers
        assert "z" not in found[0].headers

    @pytest.mark.parametrize("header", [{"login": "a\nb"}, {"lo\ngin": "a"}, {"lo:gin": "a"}])
    def test_connect_cannot_say_everything(self, header):
        with pytest.raises(ProtocolError, match="which CONNECT cannot say"):
            encode(Frame("CONNECT", header), V1_2)

    def test_a_passcode_is_not_shown(self):
        assert "secret" not in repr(Frame("CONNECT", {"login": "a", "passcode": "secret"}))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
BODIES = st.binary(max_size=200)


@given(st.dictionaries(TEXT, TEXT, max_size=8), BODIES, st.sampled_from([V1_1, V1_2]), st.data())
def test_round_trip(headers, body, version, data):
    """Whatever is said in 1.1 or 1.2 is heard as it was said, cut wherever the network likes."""
    headers.pop("content-length", None)
    if version is V1_1:
        headers = {name.strip("\r"): value for name, value in headers.items()}
    octets = encode(Frame("SEND", headers, body), version) * 2
    cut = data.draw(st.integers(0, len(octets)))
    heard = frames(version, octets[:cut], octets[cut:])
    assert heard == [Frame("SEND", {**headers, "content-length": str(len(body))}, body)] * 2


@given(st.binary(max_size=300), st.sampled_from([None, *Version]))
def test_whatever_comes_is_read_or_refused(octets, version):
    """No octets lead to another error than ProtocolError."""
    with contextlib.suppress(ProtocolError):
        frames(version, octets)
