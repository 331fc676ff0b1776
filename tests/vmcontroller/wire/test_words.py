"""Every word goes over the wire and comes back the same."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmcontroller.wire.any_words import ANY, EXAMPLES, each, texts
from vmcontroller.wire import words
from vmcontroller.wire.fields import as_number
from vmcontroller.wire.words import (
    CHUNK,
    OUTCOMES,
    WORDS,
    NotAWord,
    StreamReport,
    Word,
    hear,
    is_void,
    limits_of,
    say,
    session_of,
    stdin_of,
)


def test_all_are_here() -> None:
    """No word is left out of this file."""
    assert {type(word) for word in EXAMPLES} == set(ANY) == set(WORDS.values())


@given(st.one_of(*ANY.values()))
def test_there_and_back(word: Word) -> None:
    """Whatever a word holds, it is heard as it was said."""
    assert hear(*say(word)) == word


@each
def test_examples(word: Word) -> None:
    """The same for words as they are said every day."""
    headers, body = say(word)
    assert headers["word"] == word.WORD
    assert hear(headers, body) == word


@given(texts)
def test_no_header_is_forged(text: str) -> None:
    """No text breaks out of a header, and none loses its spaces in a server that trims."""
    header = say(words.Ping(text, ""))[0]["ping-id"]
    assert header.isascii()
    assert header == header.strip()
    assert not set(header) & set("\n\r\0:\\")


def test_long_header() -> None:
    """A header that would grow past 4 KiB is not said."""
    say(words.Ping("x" * 4096, ""))
    with pytest.raises(ValueError, match="4097 octets long, 4096 are allowed"):
        say(words.Ping("x" * 4097, ""))


def test_octets_that_are_no_text() -> None:
    """What a file system holds as a name that is not UTF-8 arrives octet by octet."""
    name = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    headers, body = say(words.CmdRun("c1", name, 1, (), (name,)))
    assert headers["cmd"] == "caf%E9 %FF"
    assert b"caf\xe9 \xff" in body
    assert hear(headers, body) == words.CmdRun("c1", name, 1, (), (name,))


def test_old_name() -> None:
    """The results are understood under the name of 2009, too."""
    headers, body = say(EXAMPLES[12])
    assert hear({**headers, "word": "CMD_RESULT"}, body) == EXAMPLES[12]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_finished(outcome: str) -> None:
    """In the dictionary of 2009 only what exited has finished."""
    assert words.CmdResults("c1", outcome).finished == (outcome == "exited")


@given(st.binary(max_size=100))
def test_stream_that_travels_along(whole: bytes) -> None:
    """A short stream comes out of its report octet by octet, text or not."""
    report = StreamReport.of(whole, hashlib.sha256(whole).hexdigest())
    results = words.CmdResults("c1", "exited", out=report)
    heard = hear(*say(results))
    assert isinstance(heard, words.CmdResults)
    assert heard.out.whole() == whole


def test_stream_that_comes_as_output() -> None:
    """A long stream is not in its report; an empty one is."""
    assert StreamReport(length=CHUNK + 1).whole() is None
    assert StreamReport().whole() == b""


def test_limits_and_stdin_of() -> None:
    """Limits and input are made from what a caller gave; a field that they do not have is named."""
    assert limits_of({"seconds": 2, "orphans": "leave"}) == words.Limits(seconds=2.0, orphans="leave")
    assert stdin_of({"kind": "inline", "data": "YQ=="}) == words.Stdin("inline", data="YQ==")
    for values, fault in [
        ({"minutes": 1}, "limits has no field minutes"),
        ({"seconds": -1}, "seconds is negative"),
        ({"cpuSeconds": "1"}, "cpuSeconds is not a number"),
        ({"memoryBytes": 1.5}, "memoryBytes is not a 64-bit integer"),
        ({"orphans": "adopt"}, "orphans is none of kill, leave"),
    ]:
        with pytest.raises(ValueError, match=fault):
            limits_of(values)
    with pytest.raises(ValueError, match="data is not base64"):
        stdin_of({"kind": "inline", "data": "a"})


def test_numbers() -> None:
    """A whole number stays one, as far as XML-RPC can carry it on."""
    for number, heard in [(8 << 30, int), (2**63, float), (1.0, float), (0, int)]:
        assert as_number(number) == number
        assert type(as_number(number)) is heard


def test_session_of() -> None:
    """A frame's session is a number; one that says none was said in session 0."""
    assert session_of({"in-session": "12"}) == 12
    assert session_of({}) == 0
    for text in ("", "-1", "x", "1" * 19):
        with pytest.raises(NotAWord, match="in-session is not a number"):
            session_of({"in-session": text})


def test_is_void() -> None:
    """A word counts in the session that it was said in; those that lead to a session count always."""
    assert is_void(words.CmdAccepted("c1"), 3, 4)
    assert not is_void(words.CmdAccepted("c1"), 4, 4)
    assert not is_void(EXAMPLES[1], 3, 4)
