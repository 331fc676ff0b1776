"""How the fields of words are declared and checked, and how they get into headers and JSON and back.

A field is an ordinary dataclass field that carries its check. A check takes what JSON or a header gave and returns
the field's value, or raises ValueError with what is wrong; ``checked`` puts the field's name before it.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any
from urllib.parse import quote, unquote

Check = Callable[[Any], Any]

_SAFE = "!#$&'()*+,-./;<=>?@[]^_`{|}~ "
_MAX_HEADER = 4096
_CMD_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}\Z")


# -- checks


def as_text(value: Any) -> str:
    """Any text that can be written as UTF-8; octets that are none travel as Python's surrogate escapes."""
    if not isinstance(value, str):
        raise ValueError("is not text")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return value


def as_number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("is not a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError("is not a finite number")
    return float(value)


def as_amount(value: Any) -> float:
    """A number that is not negative."""
    if as_number(value) < 0:
        raise ValueError("is negative")
    return float(value)


def as_integer(value: Any) -> int:
    """A whole number of 64 bits with its sign."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("is not a 64-bit integer")
    return value


def as_count(value: Any) -> int:
    """A whole number that is not negative."""
    if as_integer(value) < 0:
        raise ValueError("is negative")
    return int(value)


def as_flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def as_cmd_id(value: Any) -> str:
    """A command's id, which is safe as a file name, too."""
    if not isinstance(value, str) or not _CMD_ID.match(value):
        raise ValueError("is not a command id (1 to 64 of 0-9 A-Z a-z . _ -, not a dot first)")
    return value


def as_base64(value: Any) -> str:
    """Text that ``decode_octets`` takes."""
    decode_octets(as_text(value))
    return str(value)


def one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    """One of these texts."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return str(value)

    return check


def list_of(item: Check) -> Callable[[Any], tuple[Any, ...]]:
    """A list of what another check takes."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError("is not a list")
        return tuple(item(one) for one in value)

    return check


def map_of(key: Callable[[Any], str], item: Check) -> Callable[[Any], dict[str, Any]]:
    """An object whose keys and values are what other checks take."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError("is not an object")
        return {key(k): item(v) for k, v in value.items()}

    return check


def record(kind: type[Any]) -> Check:
    """An object with the fields of a dataclass that is declared with this module."""

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("is not an object")
        return build(kind, value)

    return check


def decode_octets(value: str) -> bytes:
    """Base64 to octets; ValueError when it is none."""
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError("is not base64") from None


# -- how a field is declared


def body(check: Check, name: str | None = None, **kw: Any) -> Any:
    """A field in the JSON object; ``name`` is its name there, if that is another one."""
    return field(metadata={"check": check, "json": name}, **kw)


def header(name: str, check: Check, **kw: Any) -> Any:
    """A field that travels as the header ``name``."""
    return field(metadata={"check": check, "header": name}, **kw)


def octets(most: int) -> Any:
    """The field that is the raw body, of at most so many octets."""

    def check(value: bytes) -> bytes:
        if len(value) > most:
            raise ValueError(f"is {len(value)} octets long, {most} are allowed")
        return value

    return field(default=b"", metadata={"check": check, "octets": True}, repr=False)


def wire_name(f: Any) -> str:
    """What a field is called on the wire."""
    return str(f.metadata.get("header") or f.metadata.get("json") or f.name)


# -- from the wire and to it


def checked(f: Any, value: Any) -> Any:
    """The value if the field's check takes it; ValueError names the field."""
    try:
        return f.metadata["check"](value)
    except ValueError as error:
        raise ValueError(f"{wire_name(f)} {error}") from None


def build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A dataclass from the values of its fields as they are called on the wire; ValueError names what is wrong."""
    found = {f.name: checked(f, values[wire_name(f)]) for f in fields(kind) if wire_name(f) in values}
    missing = [wire_name(f) for f in fields(kind) if f.name not in found and not _optional(f)]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    return kind(**found)


def _optional(f: Any) -> bool:
    return f.default is not MISSING or f.default_factory is not MISSING


def plain(value: Any) -> Any:
    """The JSON form of a field's value."""
    if hasattr(value, "__dataclass_fields__"):
        return {wire_name(f): plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def to_header(value: Any) -> str:
    """A value as a header's text; ValueError when it grows past 4 KiB."""
    said = str(value).lower() if isinstance(value, bool) else str(value)
    safe = quote(said, safe=_SAFE, errors="surrogateescape")
    # Servers of STOMP 1.0 cut off the spaces at either end.
    safe = re.sub(r"\A +| +\Z", lambda spaces: "%20" * len(spaces[0]), safe)
    if len(safe) > _MAX_HEADER:
        raise ValueError(f"a header would be {len(safe)} octets long, {_MAX_HEADER} are allowed")
    return safe


def from_header(f: Any, said: str) -> Any:
    """What a header's text stands for, to be checked by the field."""
    check = f.metadata["check"]
    if check in (as_count, as_integer):
        return int(said) if re.fullmatch(r"-?[0-9]{1,19}", said) else said
    if check is as_flag:
        return {"true": True, "false": False}.get(said, said)
    return unquote(said, errors="surrogateescape")
