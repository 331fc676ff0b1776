"""Chirp's lines: names, requests, replies, stat lines; whole, at every split point, and broken."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import pytest

from vmcontroller.wire.chirp import (
    MAX_LINE,
    VERBS,
    BrokenChirp,
    Checksum,
    ChirpError,
    Inbox,
    Kind,
    Number,
    Request,
    Stat,
    listed,
    number_of,
    parse_number,
    parse_request,
    parse_stat,
    quote,
    reply,
    request,
    result,
    stat_of,
    unquote,
)

ODD_NAMES = [
    "a b",
    "né",
    "日本語",
    'quo"te',
    "apo'strophe",
    "back\\slash",
    "100%",
    "%41",
    "<>{}|~",
    "\t",
    "\x7f",
    "a/b",
]


@pytest.mark.parametrize("name", ["plain", "/a/b.c", "-_=+:;,.?!@#$&()*[]^`", *ODD_NAMES, "\udcff\udc80"])
def test_a_name_comes_back_as_it_was(name: str) -> None:
    """Whatever a file may be called survives the way, octets that are not UTF-8 included."""
    assert unquote(quote(name).encode("ascii")) == name


@pytest.mark.parametrize("name", ODD_NAMES[:6])
def test_odd_names_travel_as_percent_and_two_digits(name: str) -> None:
    """No octet that C's parser could stumble over stands in a quoted name."""
    assert all(0x21 <= ord(c) <= 0x7A and c not in "\\<>'\"" for c in quote(name))


def test_quoting_is_the_reference_clients() -> None:
    """A known sample, as the reference client encodes it (but two digits always)."""
    assert quote("a b%\t'\"<>\\{é") == "a%20b%25%09%27%22%3C%3E%5C%7B%C3%A9"


@pytest.mark.parametrize("token", [b"%", b"a%", b"%4", b"%zz", b"%00", b"a%00b", b"%0A", b"%0d", b"%+1", b"% 9"])
def test_a_broken_or_dangerous_name_is_refused(token: bytes) -> None:
    """A lone percent sign, NUL and line breaks are invalid requests."""
    with pytest.raises(ChirpError) as refused:
        unquote(token)
    assert refused.value.number is Number.INVALID_REQUEST


def test_a_line_break_in_a_listed_name_cannot_break_the_listing() -> None:
    """It becomes a question mark."""
    assert listed("a\nb\rc\0d é") == "a?b?c?d é".encode()


def test_every_verb_is_documented() -> None:
    """With its arguments, in docs/reference/files.md."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "files.md").read_text()
    assert [verb for verb in VERBS if f"`{verb}" not in page] == []


SAMPLES = {Kind.NAME: ("a b", b"a%20b"), Kind.COUNT: (420, b"420"), Kind.SIGNED: (-1, b"-1")}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_travels_and_comes_back(verb: str) -> None:
    """A request that is written is the request that is read."""
    arguments = tuple(SAMPLES[kind][0] for kind in VERBS[verb])
    line = request(verb, *arguments)
    assert line == b" ".join((verb.encode(), *(SAMPLES[kind][1] for kind in VERBS[verb]))) + b"\n"
    assert parse_request(line[:-1]) == Request(verb, arguments)


@pytest.mark.parametrize(
    "line",
    [
        b"frobnicate /a",
        b"stat",
        b"stat /a /b",
        b"STAT /a",
        b"putfile /a 420",
        b"putfile /a x 1",
        b"putfile /a 420 -1",
        b"putfile /a 420 99999999999999999999",
        b"putfile /a 420 9223372036854775808",
        b"putfile /a 0x1 1",
        b"pread 0 1 1_0",
        b"stat /%00x",
        b"\xff\xfe /a",
        b"__init__ /a",
        b"thirdput /a host /b",
        b"whoareyou host 100",
        b"localpath /a",
        b"setacl /a x rwl",
    ],
)
def test_what_is_no_request_of_ours_is_an_invalid_request(line: bytes) -> None:
    """Unknown verbs, wrong counts and wrong kinds of arguments are refused, and nothing worse."""
    with pytest.raises(ChirpError) as refused:
        parse_request(line)
    assert refused.value.number is Number.INVALID_REQUEST


def test_a_request_that_is_too_long_is_refused_before_it_is_sent() -> None:
    """The reference server would hang up on it."""
    assert len(request("stat", "a" * (MAX_LINE - 6))) == MAX_LINE
    with pytest.raises(ChirpError) as refused:
        request("stat", "a" * (MAX_LINE - 5))
    assert refused.value.number is Number.NAME_TOO_LONG


def test_numbers_are_signed_64_bit_decimals() -> None:
    """Their ends are accepted."""
    assert parse_number(b"9223372036854775807") == 2**63 - 1
    assert parse_number(b"-9223372036854775808") == -(2**63)


@pytest.mark.parametrize("number", Number)
def test_a_refusal_is_an_error_with_its_name(number: Number) -> None:
    """Each number of the protocol comes back as itself."""
    with pytest.raises(ChirpError) as refused:
        result(reply(number)[:-1])
    assert refused.value.number is number


def test_an_unknown_refusal_is_a_refusal_still() -> None:
    """A number that nobody has heard of is UNKNOWN."""
    with pytest.raises(ChirpError) as refused:
        result(b"-99")
    assert refused.value.number is Number.UNKNOWN


@pytest.mark.parametrize("line", [b"", b"yes", b"1 2", b"1e3", b"--1", b"\xff"])
def test_a_reply_that_is_no_number_breaks_the_connection(line: bytes) -> None:
    """There is no way to go on after it."""
    with pytest.raises(BrokenChirp):
        result(line)


def test_a_stat_line_has_13_numbers() -> None:
    """What the operating system says comes back."""
    status = stat_of(os.stat(__file__))
    assert parse_stat(status.line()[:-1]) == status
    assert status.size == os.path.getsize(__file__)
    assert (status.is_file(), status.is_directory(), status.is_link()) == (True, False, False)


@pytest.mark.parametrize("line", [b"", b"1 2 3", b"1 " * 14, b"a " * 13])
def test_a_stat_line_that_is_none_breaks_the_connection(line: bytes) -> None:
    """Twelve numbers, fourteen, or something else."""
    with pytest.raises(BrokenChirp):
        parse_stat(line)


def test_what_windows_does_not_know_of_a_file_is_zero() -> None:
    """There os.stat_result has no blocks."""

    class Status:
        st_size, st_mode, st_mtime = 5, 0o100644, 1.5

    assert stat_of(Status()) == Stat(0, 0, 0o100644, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (errno.ENOENT, Number.DOESNT_EXIST),
        (errno.ENOSPC, Number.NO_SPACE),
        (errno.EDQUOT, Number.NO_SPACE),
        (errno.EROFS, Number.NOT_AUTHORIZED),
        (errno.EFBIG, Number.TOO_BIG),
        (errno.ENOTEMPTY, Number.NOT_EMPTY),
        (errno.EIO, Number.UNKNOWN),
    ],
)
def test_what_the_operating_system_says_has_a_number(code: int, number: Number) -> None:
    """And what has none is UNKNOWN."""
    assert number_of(OSError(code, "")) is number


def test_the_checksum_is_crc_32() -> None:
    """Of all that was taken, in decimal."""
    checksum = Checksum()
    checksum.update(b"1234")
    checksum.update(memoryview(b"56789"))
    assert checksum.line() == b"%d\n" % 0xCBF43926 == b"%d\n" % zlib.crc32(b"123456789")


STREAM = b"putfile /a 420 5\r\nhello0\n\nstat /b\n"
TAKEN = [b"putfile /a 420 5", b"hello", b"0", b"", b"stat /b"]


def take_all(pieces: list[bytes]) -> list[bytes]:
    """Lines, but five octets after the first."""
    inbox, taken = Inbox(), []
    for piece in pieces:
        inbox.feed(piece)
        while True:
            if len(taken) == 1:
                found = inbox.take(5) if len(inbox) >= 5 else None
            else:
                found = inbox.line()
            if found is None:
                break
            taken.append(found)
    assert len(inbox) == 0
    return taken


def test_lines_and_octets_are_taken_in_turn() -> None:
    """When all comes at once."""
    assert take_all([STREAM]) == TAKEN


@pytest.mark.parametrize("split", range(1, len(STREAM)))
def test_it_does_not_matter_where_the_stream_is_cut(split: int) -> None:
    """At every split point the same is taken."""
    assert take_all([STREAM[:split], STREAM[split:]]) == TAKEN


def test_it_may_come_octet_by_octet() -> None:
    """And the same is taken."""
    assert take_all([STREAM[i : i + 1] for i in range(len(STREAM))]) == TAKEN


def test_the_longest_line_is_taken_and_a_longer_one_is_not() -> None:
    """Whether its end has come already or not."""
    inbox = Inbox()
    inbox.feed(b"x" * (MAX_LINE - 1) + b"\n")
    assert inbox.line() == b"x" * (MAX_LINE - 1)
    for tail in (b"", b"\n"):
        inbox = Inbox()
        inbox.feed(b"x" * MAX_LINE + tail)
        with pytest.raises(BrokenChirp):
            inbox.line()


def test_less_than_asked_for_is_taken_when_there_is_less() -> None:
    """The rest has not come yet."""
    inbox = Inbox()
    inbox.feed(b"abc")
    assert (inbox.take(5), inbox.take(5)) == (b"abc", b"")
