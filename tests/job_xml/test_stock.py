"""The stock wrapper's scanner and its numbers, by themselves."""

from __future__ import annotations

import math

import pytest

from job_xml import stock
from job_xml.stock import End, Kind, Scanner


def tokens(data: bytes, room: int = stock.TAG_ROOM) -> list[tuple[Kind, bytes]]:
    """All that a scanner gives."""
    scanner = Scanner(data)
    found = []
    while token := scanner.get(room):
        found.append((token.kind, token.text))
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<a>", [(Kind.TAG, b"a")]),
        (b"<a />", [(Kind.TAG, b"a/")]),
        (b"</a >", [(Kind.TAG, b"/a")]),
        (b"<a b='c' d>", [(Kind.TAG, b"a")]),
        (b"<a b='x/y/z'>", [(Kind.TAG, b"a//")]),
        (b"<a\n<b>", [(Kind.TAG, b"a")]),
        (b"<a> \t\v x y \n</a>", [(Kind.TAG, b"a"), (Kind.TEXT, b"x y"), (Kind.TAG, b"/a")]),
        (b"<!-- <a> --><b>", [(Kind.TAG, b"b")]),
        (b"<!--><a>--><b>", [(Kind.TAG, b"b")]),
        (b"x<!-- c -->y<", [(Kind.TEXT, b"x"), (Kind.TEXT, b"y")]),
        (b"<![CDATA[ a & <b> ]]><c>", [(Kind.CDATA, b"a & <b>"), (Kind.TAG, b"c")]),
        (b"<?xml version='1.0'?>", [(Kind.TAG, b"?xml")]),
        (b"text without a tag behind it", []),
        (b"<tag without an end", []),
        (b"<!-- comment without an end", []),
        (b"<![CDATA[ without an end", []),
        (b"", []),
    ],
)
def test_tokens(data: bytes, expected: list[tuple[Kind, bytes]]) -> None:
    """Tags, texts and CDATA come one by one; comments and attributes do not."""
    assert tokens(data) == expected


def test_every_start_of_a_file_ends_quietly() -> None:
    """Wherever a file is cut off, the scanner gives the tokens before it and stops."""
    whole = b"<a>x<!-- c --><![CDATA[y]]></a><b c='d'/>text<e>"
    for length in range(len(whole)):
        found = tokens(whole[:length])
        assert found == tokens(whole)[: len(found)]


def test_lines_are_counted() -> None:
    """A token knows the line that it starts on, over comments, texts and tags of several lines."""
    scanner = Scanner(b"<a>\n<!--\n\n-->\n<b\nc='d'>\nx\ny\n<e>")
    lines = []
    while token := scanner.get():
        lines.append((token.text, token.line))
    assert lines == [(b"a", 1), (b"b", 5), (b"x\ny", 7), (b"e", 9)]


def test_room_for_text() -> None:
    """A text has room for one octet less than there is; the scanner goes on behind what it had to drop."""
    assert tokens(b"x" * 255 + b"<a>", 256) == [(Kind.TEXT, b"x" * 255), (Kind.TAG, b"a")]
    scanner = Scanner(b"x" * 300 + b"<a>")
    assert scanner.get(256) is None
    assert scanner.ended is End.ROOM
    rest = scanner.get(256)
    assert rest is not None
    assert rest.text == b"x" * 44


def test_a_nul_ends_the_file() -> None:
    """What stands behind a NUL octet is not read, and the scanner says so."""
    scanner = Scanner(b"<a>\0<b>")
    assert scanner.get() is not None
    assert scanner.get() is None
    assert scanner.ended is End.NUL


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((b"0", 0), (b"8", 8), (b"+8", 8), (b"-8", -8), (b"010", 8), (b"0x10", 16), (b"0XfF", 255), (b"00", 0)),
        *((b"08", None), (b"1 2", None), (b"1x", None), (b"0x", None), (b"-", None), (b"1.0", None), (b"true", None)),
        *((b"9223372036854775807", 2**63 - 1), (b"9223372036854775808", None), (b"9" * 5000, None), (b"1_0", None)),
    ],
)
def test_integers(text: bytes, value: int | None) -> None:
    """strtol with base 0, on 64 bits, and nothing left over."""
    assert stock.integer(text) == value


@pytest.mark.parametrize(("value", "narrow"), [(1, 1), (2**31, -(2**31)), (2**32 + 1, 1), (-(2**31) - 1, 2**31 - 1)])
def test_narrowed(value: int, narrow: int) -> None:
    """A C int keeps the lower 32 bits."""
    assert stock.narrowed(value) == narrow


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((b"1", 1.0), (b"-1.5", -1.5), (b".5", 0.5), (b"5.", 5.0), (b"1e3", 1000.0), (b"0x1p3", 8.0), (b"0x.8", 0.5)),
        *((b"inf", math.inf), (b"-Infinity", -math.inf), (b"0e-999999", 0.0), (b"2.2250738585072014e-308", None)),
        *((b"1e999", None), (b"1e-400", None), (b"4.9e-324", None), (b"1,5", None), (b"1 s", None), (b"", None)),
        *((b"1e", None), (b"0x", None), (b"1_0", None), (b"x", None), (b"0x1p99999", None), (b"infinit", None)),
    ],
)
def test_numbers(text: bytes, value: float | None) -> None:
    """strtod, nothing left over, and nothing that is too large or too small for a double."""
    if text == b"2.2250738585072014e-308":
        value = float(text)
    assert stock.number(text) == value


@pytest.mark.parametrize("text", [b"nan", b"NAN", b"-nan", b"nan(1)"])
def test_not_a_number(text: bytes) -> None:
    """strtod takes nan for a number."""
    value = stock.number(text)
    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((b"0", False), (b"1", True), (b"2", True), (b"-1", True), (b"00", False), (b"0x0", False), (b"0x1", True)),
        *((b"true", None), (b"yes", None), (b"1.0", None), (b"09", None), (b"9" * 5000, True), (b"0" * 300, False)),
    ],
)
def test_flags(text: bytes, value: bool | None) -> None:
    """A flag is any integer; 0 is false."""
    assert stock.is_true(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"a &lt; b &gt; c &amp; d &quot;e&quot; &apos;f&apos;", b"a < b > c & d \"e\" 'f'"),
        (b"&#65;&#0066;&#10;", b"AB\n"),
        (b"&#233;", b"\xe9"),
        (b"&#300; &#x41; &#65 &#; &# 65; &eacute; & &", b"&#300; &#x41; &#65 &#; &# 65; &eacute; & &"),
        (b"&amp;lt;", b"&lt;"),
        (b"before&#0;behind", b"before"),
        (b"&#4294967361;", b"A"),
        (b"&#" + b"9" * 5000 + b";", b"\xff"),
        (b"&#1" + b"0" * 5000 + b";", b"\xff"),
    ],
)
def test_references(text: bytes, value: bytes) -> None:
    """References become octets, unknown ones stay, NUL ends the text."""
    assert stock.unescape(text) == value
