"""What one element holds, read as the stock wrapper reads it (XML_PARSER::parse_string, parse_bool, parse_int, …).

Such a call takes tokens until it knows that the element is not as it should be, and gives none of them back: the
elements after a mistake are read from there. So each method here takes exactly the tokens that its model takes.
"""

from __future__ import annotations

import re

from job_xml import stock
from job_xml.elements import Element, Type
from job_xml.problems import shown
from job_xml.stock import End, Kind, Scanner, Token

Value = str | bool | int | float

_DECIMAL = re.compile(rb"(0|[1-9][0-9]{0,17})\Z")
_TEXTS = (Type.TEXT, Type.NAME)
_FLAGS = (Type.FLAG, Type.SWITCH)


class Ignored(Exception):
    """The element is not understood, and the stock wrapper goes on as if it were not there.

    The text says why; ``remedy`` is "" when what the element expects is remedy enough.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


def read(scanner: Scanner, element: Element, start: Token) -> Value:
    """The value of the element whose start ``scanner`` has just given; Ignored when it has none."""
    if element.type in _TEXTS:
        return _string(scanner, element, start)
    if element.type in _FLAGS:
        return _flag(scanner, element, start)
    return _number(scanner, element, start)


def text(octets: bytes) -> str:
    """Octets as text; what is not UTF-8 becomes surrogate escapes."""
    return octets.decode("utf-8", "surrogateescape")


def _string(scanner: Scanner, element: Element, start: Token) -> str:
    if start.name.endswith("/"):
        return ""
    inside = _next(scanner, element.room)
    if inside.kind is Kind.TAG:
        _must_close(element, inside)
        return ""
    _must_close(element, _next(scanner))
    return text(inside.text if inside.kind is Kind.CDATA else stock.unescape(inside.text))


def _flag(scanner: Scanner, element: Element, start: Token) -> bool:
    if start.name.endswith("/"):
        return True
    inside = _next(scanner, stock.NUMBER_ROOM)
    if inside.kind is Kind.TAG:
        raise Ignored("has a start and an end and nothing between")
    value = stock.is_true(inside.text)
    if value is None or (element.type is Type.SWITCH and inside.text not in (b"0", b"1")):
        raise Ignored(f"is {shown(text(inside.text))}")
    _must_close(element, _next(scanner))
    return value


def _number(scanner: Scanner, element: Element, start: Token) -> int | float:
    if start.name.endswith("/"):
        raise Ignored("has no value")
    inside = _next(scanner, stock.NUMBER_ROOM)
    if inside.kind is Kind.TAG:
        _must_close(element, inside)
        return _nothing(element)
    value = _converted(element, inside.text)
    _must_close(element, _next(scanner))
    return value


def _nothing(element: Element) -> int:
    """The stock wrapper reads nothing as 0; for a VM that is no number."""
    if element.of_vm:
        raise Ignored("has no value")
    return 0


def _converted(element: Element, octets: bytes) -> int | float:
    value = _integer(element, octets) if element.type is Type.INTEGER else stock.number(octets)
    if value is None:
        raise Ignored(f"is {shown(text(octets))}")
    return value


def _integer(element: Element, octets: bytes) -> int | None:
    """The stock wrapper takes 010 for 8, and cuts what is too long; a VM's numbers are decimal and whole."""
    if element.of_vm:
        return int(octets) if _DECIMAL.match(octets) else None
    value = stock.integer(octets)
    return None if value is None else stock.narrowed(value)


def _next(scanner: Scanner, room: int = stock.TAG_ROOM) -> Token:
    token = scanner.get(room)
    if token is not None:
        return token
    if scanner.ended is End.ROOM:
        raise Ignored(f"is longer than {room - 1} octets", "write less")
    raise Ignored("is never closed", "close it")


def _must_close(element: Element, token: Token) -> None:
    close = f"close it with </{element.name}>, and put no other element or comment into it"
    if token.kind is not Kind.TAG:
        raise Ignored(f"goes on with {shown(text(token.text))} after a comment or CDATA", close)
    if token.name != f"/{element.name}":
        raise Ignored(f"comes upon <{shown(token.name)[1:-1]}> before its own end", close)
