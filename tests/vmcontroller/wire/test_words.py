"""Every word goes over the wire and comes back the same; all else is refused, with the field that is wrong."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.wire import words
from vmcontroller.wire.fields import as_number, wire_name
from vmcontroller.wire.words import (
    CHUNK,
    OUTCOMES,
    RU_FIELDS,
    STREAMS,
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

texts = st.text(max_size=30) | st.binary(max_size=30).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
counts = st.integers(0, 2**63 - 1)
integers = st.integers(1 - 2**63, 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(0, allow_infinity=False)
cmd_ids = st.from_regex(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}", fullmatch=True)
lists = st.lists(texts, max_size=4).map(tuple)
octets = st.binary(max_size=200) | st.just(bytes(range(256)) * 256)
encoded = st.binary(max_size=30).map(lambda data: b64encode(data).decode())


def by_name(items: st.SearchStrategy[Any], names: st.SearchStrategy[str] = texts) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, items, max_size=4)


reports = st.builds(words.CommandReport, st.sampled_from(["running", "finished", "dead"]), counts, counts)
verdicts = st.builds(words.Verdict, st.sampled_from(["keep", "forget", "foreign"]), counts, counts)
streams = st.builds(StreamReport, counts, texts, texts, encoded)
limits = st.builds(words.Limits, amounts, amounts, counts, counts, st.sampled_from(["kill", "leave"]))
stdins = st.builds(words.Stdin, st.sampled_from(["none", "inline", "file", "stream"]), texts, encoded)

#: How the fields of each word are made up.
ANY: dict[type[Word], st.SearchStrategy[Any]] = {
    words.Who: st.builds(words.Who),
    words.Hello: st.builds(
        words.Hello,
        nonce=texts,
        id=texts,
        journal=texts,
        session=counts,
        name=texts,
        addresses=lists,
        versions=by_name(texts),
        chirp_port=counts,
        commands=by_name(reports, cmd_ids),
    ),
    words.Welcome: st.builds(
        words.Welcome, session=counts, nonce=texts, proof=texts, time=numbers, verdicts=by_name(verdicts, cmd_ids)
    ),
    words.Bye: st.builds(words.Bye, reason=texts),
    words.StillAlive: st.builds(
        words.StillAlive,
        load=st.lists(numbers, max_size=3).map(tuple),
        memory=by_name(numbers),
        disk=by_name(numbers),
        commands=by_name(by_name(numbers, st.sampled_from(RU_FIELDS)), cmd_ids),
    ),
    words.Ping: st.builds(words.Ping, ping_id=texts, timestamp=texts),
    words.Pong: st.builds(words.Pong, ping_id=texts, timestamp=texts),
    words.CmdRun: st.builds(
        words.CmdRun,
        cmd_id=cmd_ids,
        cmd=texts,
        session=counts,
        audience=lists,
        args=lists,
        env=by_name(texts),
        path=texts,
        stdin=stdins,
        limits=limits,
    ),
    words.CmdAccepted: st.builds(words.CmdAccepted, cmd_id=cmd_ids),
    words.CmdOutput: st.builds(
        words.CmdOutput, cmd_id=cmd_ids, stream=st.sampled_from(STREAMS), offset=counts, data=octets
    ),
    words.CmdStdin: st.builds(words.CmdStdin, cmd_id=cmd_ids, offset=counts, eof=st.booleans(), data=octets),
    words.CmdSignal: st.builds(words.CmdSignal, cmd_id=cmd_ids, signal_id=cmd_ids, signal=counts),
    words.CmdResults: st.builds(
        words.CmdResults,
        cmd_id=cmd_ids,
        outcome=st.sampled_from(OUTCOMES),
        exit_code_or_signal=integers,
        reason=texts,
        left=counts,
        resources=by_name(numbers, st.sampled_from(RU_FIELDS)),
        started=numbers,
        seconds=numbers,
        out=streams,
        err=streams,
    ),
    words.CmdAck: st.builds(
        words.CmdAck,
        cmd_id=cmd_ids,
        of=st.sampled_from(["out", "err", "stdin", "signal", "results", "session"]),
        offset=counts,
        signal_id=texts,
    ),
    words.Aint: st.builds(words.Aint, about=texts, why=texts),
}

#: One of each word, as it may be said.
EXAMPLES: list[Word] = [
    words.Who(),
    words.Hello(
        "n1", "vm-1", "j1", 3, "VM 1", ("10.0.2.15",), {"agent": "1"}, 9094, {"c1": words.CommandReport("dead")}
    ),
    words.Welcome(4, "n1", "ab" * 32, 1.5, {"c1": words.Verdict("keep", 5, 0)}),
    words.Bye("SIGTERM"),
    words.StillAlive((0.5, 0.25, 0.0), {"total": 1e9}, {"free": 1.0}, {"c1": {"ru_utime": 0.25, "processes": 2}}),
    words.Ping("p1", "12.5"),
    words.Pong("p1", "12.5"),
    words.CmdRun(
        "c1", "/bin/echo", 4, ("vm-1",), ("a b", "ü"), {"A": "1"}, "sub", words.Stdin("file", "in"), words.Limits(9.0)
    ),
    words.CmdAccepted("c1"),
    words.CmdOutput("c1", "err", 7, b"\0\xff\n"),
    words.CmdStdin("c1", 0, True, b""),
    words.CmdSignal("c1", "s1", 15),
    words.CmdResults(
        "c1", "exited", 3, "why", 1, {"ru_utime": 0.5}, 1e9, 2.0, StreamReport.of(b"out", "0a"), StreamReport()
    ),
    words.CmdAck("c1", "out", 5),
    words.Aint("SPEAK", "it is not a word"),
]
each = pytest.mark.parametrize("word", EXAMPLES, ids=lambda word: word.WORD)
every_field = pytest.mark.parametrize(
    ("word", "field"),
    [(word, f) for word in EXAMPLES for f in fields(word)],
    ids=lambda one: getattr(one, "WORD", "") or one.name,
)

#: Values of every kind that JSON has, and some that no machine can hold.
JUNK = [
    None,
    True,
    -1,
    1.5,
    2**63,
    10**400,
    float("inf"),
    float("nan"),
    "junk",
    "",
    "\ud800",
    [],
    [None],
    {},
    {"": None},
]
#: The same for headers.
JUNK_TEXT = [
    "",
    "junk",
    "-1",
    "1.5",
    "1e3",
    "9223372036854775808",
    "1" * 5000,
    "\n",
    "a/b",
    ".a",
    "x" * 65,
    "True",
    "²",
]


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


def altered(word: Word, field: Any, value: Any) -> tuple[dict[str, str], bytes]:
    """What is said, but for one field; MISSING leaves it out."""
    headers, body = say(word)
    if "header" in field.metadata:
        others = {name: said for name, said in headers.items() if name != wire_name(field)}
        return (others if value is MISSING else {**others, wire_name(field): value}), body
    if "octets" in field.metadata:
        return headers, b"" if value is MISSING else value
    said = json.loads(body)
    del said[wire_name(field)]
    return headers, json.dumps(said if value is MISSING else {**said, wire_name(field): value}).encode()


@every_field
def test_missing_field(word: Word, field: Any) -> None:
    """A field without a default has to be there and is named when it is not; any other may be left out."""
    if field.default is MISSING and field.default_factory is MISSING:
        with pytest.raises(NotAWord, match=rf"^{word.WORD}: lacks {wire_name(field)}$"):
            hear(*altered(word, field, MISSING))
    else:
        heard = hear(*altered(word, field, MISSING))
        default = field.default if field.default is not MISSING else field.default_factory()
        assert getattr(heard, field.name) == default


def refusal(word: Word, field: Any, value: Any) -> str:
    """What is said against a word with this value in one field; "" when it is taken."""
    try:
        hear(*altered(word, field, value))
    except NotAWord as error:
        return str(error)
    return ""


@every_field
def test_wrong_field(word: Word, field: Any) -> None:
    """A field that holds what it cannot is named; every field but a header of any text refuses something."""
    junk: list[Any] = [bytes(CHUNK + 1)] if "octets" in field.metadata else JUNK
    refusals = {refusal(word, field, value) for value in (JUNK_TEXT if "header" in field.metadata else junk)} - {""}
    assert refusals or wire_name(field) in ("nonce", "ping-id", "timestamp", "cmd", "signal-id")
    assert {text for text in refusals if not text.startswith(f"{word.WORD}: {wire_name(field)} ")} == set()


def test_wrong_field_inside() -> None:
    """A field of a value inside a word is named with the field that holds it."""
    headers, body = say(EXAMPLES[1])
    said = json.loads(body)
    said["commands"]["c1"]["state"] = "asleep"
    with pytest.raises(NotAWord, match="HELLO: commands state is none of running, finished, dead"):
        hear(headers, json.dumps(said).encode())
    del said["commands"]["c1"]["state"]
    with pytest.raises(NotAWord, match="HELLO: commands lacks state"):
        hear(headers, json.dumps(said).encode())


def test_several_missing_fields() -> None:
    """All fields that are missing are named at once, no optional one among them."""
    with pytest.raises(NotAWord, match=r"^HELLO: lacks nonce, id, journal, session$"):
        hear({"word": "HELLO"}, b"")


def test_header_in_the_body() -> None:
    """What has to be a header counts for nothing in the body."""
    with pytest.raises(NotAWord, match="CMD_ACCEPTED: lacks cmd-id"):
        hear({"word": "CMD_ACCEPTED"}, b'{"cmd-id": "c1"}')


@each
def test_more_than_we_know(word: Word) -> None:
    """Headers and fields of a later version do no harm."""
    headers, body = say(word)
    if body.startswith(b"{"):
        body = json.dumps({**json.loads(body), "later": [1]}).encode()
    assert hear({**headers, "later": "x"}, body) == word


@pytest.mark.parametrize(
    ("said", "about"),
    [(None, "a frame without the header word"), ("hello", "hello"), ("", "a frame"), ("x" * 99, "x" * 40)],
)
def test_no_word(said: str | None, about: str) -> None:
    """A frame that is no word is refused."""
    with pytest.raises(NotAWord, match=f"^{about}.* is not a word$"):
        hear({} if said is None else {"word": said}, b"{}")


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b"\xff", b"null", b'{"a":1}{}', b"[" * 100_000, b'{"about": "\\ud800"}']
)
def test_wrong_body(body: bytes) -> None:
    """A body that is no JSON object, or cannot be read, is refused."""
    with pytest.raises(NotAWord, match=r"^AINT: "):
        hear({"word": "AINT"}, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(EXAMPLES), st.data())
def test_strangers(word: Word, data: st.DataObject) -> None:
    """Whatever a stranger says is a word or is refused; nothing else happens."""
    headers, body = say(word)
    for name in set(headers) - {"word"}:
        headers[name] = data.draw(st.just(headers[name]) | texts)
    if not any("octets" in f.metadata for f in fields(word)):
        said = json.loads(body)
        changed = {name: data.draw(st.just(value) | json_values) for name, value in said.items()}
        body = json.dumps(changed).encode()
    try:
        assert isinstance(hear(headers, body), type(word))
    except NotAWord:
        pass


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
