"""STOMP frames and octets, both ways, for versions 1.0, 1.1 and 1.2.

The frame type and the vocabulary of commands are stomper's; its parser and its ``pack`` work on text, know
neither content-length nor escapes and lose data (docs/decisions/stomper.md), so framing is done here, on octets.
This module knows no socket and no session: who may say what, and when, is the business of its users.

The rules, and the numbers in brackets below, are from https://stomp.github.io/stomp-specification-1.2.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import stomper

#: The end of line that, between two frames, says no more than "I am alive".
HEART_BEAT = b"\n"

_WITH_BODY = frozenset({"SEND", "MESSAGE", "ERROR"})
_NEVER_ESCAPED = frozenset({"CONNECT", "CONNECTED"})
_BLANK_LINE = re.compile(rb"\n\n")
_BLANK_LINE_CRLF = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


class Version(StrEnum):
    """A version of the protocol, spelled as in the headers ``accept-version`` and ``version``."""

    V1_0 = "1.0"
    V1_1 = "1.1"
    V1_2 = "1.2"


class ProtocolError(ValueError):
    """The other side broke a rule; the text is one sentence that says which."""


@dataclass(frozen=True)
class FrameLimits:
    """How large a frame may be: number of headers, octets in one line, octets in the body."""

    headers: int = 64
    line: int = 8 * 1024
    body: int = 16 * 1024 * 1024

    @property
    def head(self) -> int:
        """Octets that the command and all headers may take together."""
        return (self.headers + 1) * self.line


class Frame(stomper.Frame):
    """stomper's frame with a body of octets: ``cmd`` is one of stomper's commands, ``headers`` maps text to text.

    stomper.FrameError when ``cmd`` is no command.
    """

    headers: dict[str, str]
    body: bytes

    def __init__(self, cmd: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.cmd = cmd
        self.headers = dict(headers or {})
        self.body = body

    def pack(self, version: Version = Version.V1_2) -> bytes:
        """The frame's octets; see ``encode``."""
        return encode(self, version)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (self.cmd, self.headers, self.body) == (other.cmd, other.headers, other.body)

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.headers.items() if name != "passcode"}
        return f"<{self.cmd} {shown} and {len(self.body)} octets>"


# -- escapes (Value Encoding)

_UNESCAPED = {
    Version.V1_0: {},
    Version.V1_1: {"\\n": "\n", "\\c": ":", "\\\\": "\\"},
    Version.V1_2: {"\\n": "\n", "\\c": ":", "\\\\": "\\", "\\r": "\r"},
}
#: 1.0 has no escapes. There a line feed is written like this all the same: it must never forge a header.
_VALUES = {
    version: str.maketrans({plain: escaped for escaped, plain in table.items()} or {"\n": "\\n"})
    for version, table in _UNESCAPED.items()
}
_NAMES = _VALUES | {Version.V1_0: str.maketrans({"\n": "\\n", ":": "\\c"})}
_ESCAPE = re.compile(r"\\(.|\Z)", re.DOTALL)


def _unescape(text: str, version: Version) -> str:
    table = _UNESCAPED[version]

    def plain(match: re.Match[str]) -> str:
        try:
            return table[match[0]]
        except KeyError:
            raise ProtocolError(f"{match[0]} is no escape in STOMP {version}; write \\\\ for a backslash") from None

    return _ESCAPE.sub(plain, text)


# -- values to octets


def encode(frame: stomper.Frame, version: Version) -> bytes:
    """The octets of a frame whose body is bytes, with the right content-length, ending in NUL and a line feed.

    ProtocolError for a line feed in CONNECT or CONNECTED, which have no escapes in any version.
    """
    head = encode_headers(frame.headers, version) if frame.cmd not in _NEVER_ESCAPED else _plain(frame.headers)
    length = b"content-length:%d\n" % len(frame.body) if frame.cmd in _WITH_BODY else b""
    return b"%b\n%b%b\n%b\0\n" % (frame.cmd.encode(), head, length, frame.body)


def encode_headers(headers: Mapping[str, str], version: Version) -> bytes:
    """The header lines, escaped; content-length is left out, for whoever knows the body to add it."""
    said = [(name, value) for name, value in headers.items() if name != "content-length"]
    text = "".join([f"{name}:{value}\n" for name, value in said])
    if not _is_plain(text, len(said)):
        names, values = _NAMES[version], _VALUES[version]
        text = "".join([f"{name.translate(names)}:{value.translate(values)}\n" for name, value in said])
    return text.encode()


def _is_plain(text: str, lines: int) -> bool:
    """Nothing in these lines needs an escape, as mostly: each has one colon and one line feed, at their places."""
    return text.count(":") == text.count("\n") == lines and "\\" not in text and "\r" not in text


def _plain(headers: Mapping[str, str]) -> bytes:
    for name, value in headers.items():
        if "\n" in name + value or ":" in name:
            raise ProtocolError(f"the header {name!r} holds a line feed or a colon, which CONNECT cannot say")
    return "".join(f"{name}:{value}\n" for name, value in headers.items()).encode()


# -- octets to values


class Parser:
    """Takes octets as they come and gives frames, in time that grows with the octets and no faster.

    ``version`` is None until the two sides have agreed; who drives the parser sets it as soon as they have.
    """

    def __init__(self, limits: FrameLimits = FrameLimits()) -> None:
        self.version: Version | None = None
        self._limits = limits
        self._buffer = bytearray()  # starts where a frame, or the awaited body, starts
        self._searched = 0  # no end was found in this many octets of it
        self._awaited: Frame | None = None  # its headers are known, its body is not yet here

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are now whole, each read when it is asked for; heart-beats between them are skipped.

        ProtocolError at the first broken rule. Nothing that follows can be trusted then: hang up.
        """
        self._buffer += data
        return iter(self._frame, None)

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return self._awaited is not None or bool(self._buffer)

    def _frame(self) -> Frame | None:
        if self._awaited is None:
            self._awaited = self._head()
        if self._awaited is None or (end := self._body_end(self._awaited)) is None:
            return None
        frame, self._awaited = self._awaited, None
        frame.body = bytes(self._buffer[:end])
        self._drop(end + 1)
        return frame

    def _head(self) -> Frame | None:
        self._skip_ends_of_line()
        blank = _BLANK_LINE_CRLF if self._crlf else _BLANK_LINE
        if (match := blank.search(self._buffer, self._searched)) is None:
            self._check_unfinished_head()
            self._searched = max(0, len(self._buffer) - 2)
            return None
        head = bytes(self._buffer[: match.start()])
        self._drop(match.end())
        return self._read_head(head)

    def _skip_ends_of_line(self) -> None:
        buffer, count = self._buffer, 0
        while count < len(buffer) and buffer[count] in b"\r\n":
            count += 1
        if count:
            self._drop(count)

    @property
    def _crlf(self) -> bool:
        """CR LF ends a line in 1.2; a peer may hope for 1.2 and write so before anything was agreed."""
        return self.version is None or self.version is Version.V1_2

    def _check_unfinished_head(self) -> None:
        buffer = self._buffer
        if buffer.find(0, self._searched) >= 0:
            raise ProtocolError("a NUL came before the blank line that ends the headers")
        if len(buffer) - buffer.rfind(b"\n") > self._limits.line + 1:
            raise ProtocolError(f"a line is longer than {self._limits.line} octets")
        if len(buffer) > self._limits.head:
            raise ProtocolError(f"the headers are longer than {self._limits.head} octets")

    def _read_head(self, head: bytes) -> Frame:
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("the command or a header is not UTF-8") from None
        if "\r" in text and self._crlf:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.split("\n")
        self._check_lines(head, lines)
        frame = _frame_of(lines[0])
        frame.headers = _headers(lines[1:], self._meaning(frame, text))
        return frame

    def _meaning(self, frame: Frame, text: str) -> Callable[[str], str] | None:
        """What to do to each name and value; None is nothing."""
        if self.version is None or frame.cmd in _NEVER_ESCAPED:
            return None
        if self.version is Version.V1_0:
            return str.strip  # the clients of its time wrote a space after the colon
        return partial(_unescape, version=self.version) if "\\" in text else None

    def _check_lines(self, head: bytes, lines: list[str]) -> None:
        limits = self._limits
        if b"\0" in head:
            raise ProtocolError("a NUL came before the blank line that ends the headers")
        if len(lines) > limits.headers + 1:
            raise ProtocolError(f"a frame has more than {limits.headers} headers")
        if len(head) > limits.line and max(len(line) for line in head.split(b"\n")) > limits.line:
            raise ProtocolError(f"a line is longer than {limits.line} octets")

    def _body_end(self, frame: Frame) -> int | None:
        most = self._limits.body if frame.cmd in _WITH_BODY else 0
        if (length := frame.headers.get("content-length")) is not None:
            return self._counted_end(_body_length(length, frame.cmd, most))
        end = self._buffer.find(0, self._searched)
        self._searched = len(self._buffer)
        if (end if end >= 0 else self._searched) > most:
            raise _too_long(frame.cmd, most)
        return end if end >= 0 else None

    def _counted_end(self, length: int) -> int | None:
        if len(self._buffer) <= length:
            return None
        if self._buffer[length] != 0:
            raise ProtocolError(f"content-length is {length}, but no NUL follows after that many octets")
        return length

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0


def _frame_of(command: str) -> Frame:
    try:
        return Frame("CONNECT" if command == "STOMP" else command)
    except stomper.FrameError:
        raise ProtocolError(f"{command[:40]!r} is no STOMP command") from None


def _headers(lines: list[str], meaning: Callable[[str], str] | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(f"the header line {line[:60]!r} has no colon")
        if meaning is not None:
            name, value = meaning(name), meaning(value)
        headers.setdefault(name, value)  # [Repeated Header Entries] the first one counts
    return headers


def _body_length(value: str, command: str, most: int) -> int:
    if not _LENGTH.match(value):
        raise ProtocolError(f"content-length is {value[:40]!r}, which is no number of octets")
    if int(value) > most:
        raise _too_long(command, most)
    return int(value)


def _too_long(command: str, most: int) -> ProtocolError:
    if most == 0:
        return ProtocolError(f"{command} has a body; only SEND, MESSAGE and ERROR may have one")
    return ProtocolError(f"the body of {command} is longer than {most} octets")
