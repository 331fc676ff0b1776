"""What is no word is refused, and the field that is wrong is named."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmcontroller.wire.any_words import EXAMPLES, each, texts
from vmcontroller.wire.fields import wire_name
from vmcontroller.wire.words import CHUNK, NotAWord, Word, hear, say

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
