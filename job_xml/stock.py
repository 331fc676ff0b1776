"""The stock wrapper's way to read XML: BOINC's XML_PARSER, octet by octet, on data that is in memory.

It is no XML parser. It knows tags, text, comments and CDATA, takes no notice of nesting, and goes on where XML would
stop; what a job.xml means depends on exactly where it goes on. Limits and rules are those of BOINC's lib/parse.h and
lib/parse.cpp. Nothing here knows the elements of a job.xml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

#: Octets that the stock parser has room for, its final NUL included: a tag, a number, a short and a long text.
TAG_ROOM = 4096
NUMBER_ROOM = 256
SHORT_ROOM = 8192
LONG_ROOM = 262144

_SPACE = b" \t\n\v\f\r"
_ONE_SPACE = re.compile(rb"[ \t\n\v\f\r]")
_NOT_SPACE = re.compile(rb"[^ \t\n\v\f\r]")
_INTEGER = re.compile(rb"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)\Z")
_NUMBER = re.compile(rb"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf(inity)?|nan(\(\w*\))?)\Z", re.IGNORECASE)
_HEX_NUMBER = re.compile(rb"[+-]?0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(p[+-]?[0-9]+)?\Z", re.IGNORECASE)
_REFERENCE = re.compile(rb"&(?:(lt|gt|quot|apos|amp)|#([0-9]+));")
_NAMED = {b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'", b"amp": b"&"}
_SMALLEST = 2.2250738585072014e-308


class Kind(Enum):
    """What a token is."""

    TAG = "tag"
    TEXT = "text"
    CDATA = "CDATA"


class End(Enum):
    """Why there is no further token."""

    FILE = "the file ends"
    NUL = "a NUL octet ends the file"
    ROOM = "there is more text than the stock wrapper has room for"


@dataclass(frozen=True, slots=True)
class Token:
    """A tag (what stands between < and >, without attributes) or a text, stripped of space. ``line`` counts from 1."""

    kind: Kind
    text: bytes
    line: int
    attributes: bytes = b""

    @property
    def name(self) -> str:
        """A tag's text, as text."""
        return self.text.decode("utf-8", "replace")


class Scanner:
    """Hands out one token after the other; ``ended`` says why there was none."""

    def __init__(self, data: bytes) -> None:
        nul = data.find(b"\0")
        self._data = data if nul < 0 else data[:nul]
        self._at_end = End.FILE if nul < 0 else End.NUL
        self._position = 0
        self._line = 1
        self._line_counted_to = 0
        self.ended: End | None = None

    @property
    def line(self) -> int:
        """The line of the next octet."""
        self._line += self._data.count(b"\n", self._line_counted_to, self._position)
        self._line_counted_to = self._position
        return self._line

    def get(self, room: int = TAG_ROOM) -> Token | None:
        """The next token, comments left out; None when there is none or it has no room."""
        self.ended = None
        while not self.ended:
            start = _NOT_SPACE.search(self._data, self._position)
            if not start:
                return self._end()
            self._position = start.start()
            if self._data[self._position] != ord("<"):
                return self._text(room)
            if not self._data.startswith(b"<!", self._position):
                return self._tag(room)
            if self._data.startswith(b"<![CDATA[", self._position):
                return self._cdata(room)
            if not self._data.startswith(b"<!--", self._position):
                return self._tag(room)
            self._skip_comment()
        return None

    def _end(self, why: End | None = None) -> Token | None:
        self.ended = why or self._at_end
        if self.ended is not End.ROOM:
            self._position = len(self._data)
        return None

    def _skip_comment(self) -> None:
        end = self._data.find(b"-->", self._position + 4)
        if end < 0:
            self._end()
        else:
            self._position = end + 3

    def _text(self, room: int) -> Token | None:
        end = self._data.find(b"<", self._position)
        length = (end if end >= 0 else len(self._data)) - self._position
        if length >= room:
            self._position += room
            return self._end(End.ROOM)
        if end < 0:
            return self._end()
        return self._token(Kind.TEXT, self._position, end, end)

    def _cdata(self, room: int) -> Token | None:
        start = self._position + 9
        end = self._data.find(b"]]>", start)
        # The stock parser has written "![CDATA[" by then, and seeks the end in what it had room to keep.
        if end < 0 or end - start + 3 > room - 9:
            return self._end()
        return self._token(Kind.CDATA, start, end, end + 3)

    def _tag(self, room: int) -> Token | None:
        start = self._position + 1
        end = self._data.find(b">", start)
        if end < 0:
            return self._end()
        line = self.line
        name, attributes = _split_tag(self._data[start:end])
        if len(name) >= room:
            self._position = start + room
            return self._end(End.ROOM)
        self._position = end + 1
        return Token(Kind.TAG, name, line, attributes)

    def _token(self, kind: Kind, start: int, end: int, after: int) -> Token:
        line = self.line
        self._position = after
        return Token(kind, self._data[start:end].strip(_SPACE), line)


def _split_tag(inside: bytes) -> tuple[bytes, bytes]:
    """Name and attributes. Each slash counts as the name's, also one in an attribute."""
    space = _ONE_SPACE.search(inside)
    if not space:
        return inside, b""
    name, attributes = inside[: space.start()], inside[space.end() :]
    return name + b"/" * attributes.count(b"/"), attributes.rstrip(b" \t\n\v\f\r/")


# -- what a text means


def unescape(text: bytes) -> bytes:
    """Replace references as the stock parser does, in octets. What it does not know stays as it is.

    ``&#233;`` is the one octet 233; a greater number and ``&#xe9;`` are not known. A NUL ends the text.
    """
    return _REFERENCE.sub(_dereference, text).split(b"\0", 1)[0]


def _dereference(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return _NAMED[found[1]]
    digits = found[2].lstrip(b"0")[:20] or b"0"
    value = narrowed(min(int(digits), 2**63 - 1))
    return found[0] if value > 255 else bytes([value & 0xFF])


def integer(text: bytes) -> int | None:
    """C's ``strtol(…, 0)`` on a 64-bit machine; None when something is left over or it is out of range."""
    if not _INTEGER.match(text):
        return None
    digits = text.lstrip(b"+-").lower()
    try:
        value = int(digits, 16 if digits.startswith(b"0x") else 8 if digits.startswith(b"0") else 10)
    except ValueError:  # an 8 or 9 in octal, or more digits than Python converts: out of range in any case
        return None
    value = -value if text.startswith(b"-") else value
    return value if -(2**63) <= value < 2**63 else None


def narrowed(value: int) -> int:
    """A C ``int`` made of a C ``long``: its lower 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def number(text: bytes) -> float | None:
    """C's ``strtod``; None when something is left over or it is too large or too small."""
    try:
        value = _strtod(text)
    except (ValueError, OverflowError):
        return None
    lost = value in (float("inf"), float("-inf")) and b"inf" not in text.lower()
    lost = lost or (abs(value) < _SMALLEST and _has_digits(text))
    return None if lost else value


def _strtod(text: bytes) -> float:
    if _HEX_NUMBER.match(text):
        return float.fromhex(text.decode("ascii"))
    if _NUMBER.match(text):
        return float(text.split(b"(")[0])
    raise ValueError


def _has_digits(text: bytes) -> bool:
    """Whether the mantissa has a digit other than 0."""
    lowered = text.lower().lstrip(b"+-")
    mantissa = lowered[2:].split(b"p")[0] if lowered.startswith(b"0x") else lowered.split(b"e")[0]
    return bool(mantissa.strip(b"0.+-")) and b"n" not in lowered


def is_true(text: bytes) -> bool | None:
    """A boolean's text: any integer, 0 is false; None when it is no integer. Nothing is out of range here."""
    if not _INTEGER.match(text):
        return None
    digits = text.lstrip(b"+-").lower()
    if digits.startswith(b"0x"):
        return bool(digits[2:].strip(b"0"))
    if digits.startswith(b"0") and digits.strip(b"01234567"):
        return None
    return bool(digits.strip(b"0"))
