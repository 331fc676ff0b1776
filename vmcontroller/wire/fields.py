"""How the fields of words are declared and checked, and how they get into headers and JSON and back.

A field is an ordinary dataclass field that carries its check. A check takes what JSON or a header gave and returns
the field's value, or raises ValueError with what is wrong. ``slots_of`` is what is known of a class, looked up once:
every word of every guest comes through here.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

Check = Callable[[Any], Any]

_SAFE = "!#$&'()*+,-./;<=>?@[]^_`{|}~ "
_MAX_HEADER = 4096
#: What needs no encoding, in most headers.
_PLAIN_HEADER = re.compile(r"[0-9A-Za-z._~-]*\Z")
_CMD_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}\Z")


# -- checks


def as_text(value: Any) -> str:
    """Any text that can be written as UTF-8; octets that are none travel as Python's surrogate escapes."""
    if not isinstance(value, str):
        raise ValueError("is not text")
    if value.isascii():
        return value
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return value


def as_number(value: Any) -> float:
    """A finite number; a whole number of 64 bits stays one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("is not a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError("is not a finite number")
    return value if isinstance(value, int) and abs(value) < 2**63 else float(value)


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


class Slot(NamedTuple):
    """A field as it stands on the wire, in a ``header``, in ``octets``, or else in JSON."""

    name: str
    wire: str
    check: Check
    header: bool
    octets: bool
    optional: bool

    def checked(self, value: Any) -> Any:
        """The value if the field's check takes it; ValueError names the field."""
        try:
            return self.check(value)
        except ValueError as error:
            raise ValueError(f"{self.wire} {error}") from None


_SLOTS: dict[type[Any], tuple[Slot, ...]] = {}


def slots_of(kind: type[Any]) -> tuple[Slot, ...]:
    """The fields of a dataclass that is declared with this module, in their order."""
    if kind not in _SLOTS:
        _SLOTS[kind] = tuple(map(_slot, fields(kind)))
    return _SLOTS[kind]


def _slot(f: Any) -> Slot:
    optional = f.default is not MISSING or f.default_factory is not MISSING
    return Slot(f.name, wire_name(f), f.metadata["check"], "header" in f.metadata, "octets" in f.metadata, optional)


# -- from the wire and to it


def build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A dataclass from the values of its fields as they are called on the wire; ValueError names what is wrong."""
    slots = slots_of(kind)
    found = {slot.name: slot.checked(values[slot.wire]) for slot in slots if slot.wire in values}
    missing = [slot.wire for slot in slots if not slot.optional and slot.name not in found]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    return kind(**found)


def plain(value: Any) -> Any:
    """The JSON form of a field's value."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return {slot.wire: plain(getattr(value, slot.name)) for slot in slots_of(type(value))}


def to_header(value: Any) -> str:
    """A value as a header's text; ValueError when it grows past 4 KiB."""
    said = str(value).lower() if isinstance(value, bool) else str(value)
    safe = said if _PLAIN_HEADER.match(said) else _encoded(said)
    if len(safe) > _MAX_HEADER:
        raise ValueError(f"a header would be {len(safe)} octets long, {_MAX_HEADER} are allowed")
    return safe


def _encoded(said: str) -> str:
    """Percent-encoded. Servers of STOMP 1.0 cut off the spaces at either end."""
    safe = quote(said, safe=_SAFE, errors="surrogateescape")
    return re.sub(r"\A +| +\Z", lambda spaces: "%20" * len(spaces[0]), safe)


def from_header(slot: Slot, said: str) -> Any:
    """What a header's text stands for, to be checked by the field."""
    if slot.check in (as_count, as_integer):
        return int(said) if re.fullmatch(r"-?[0-9]{1,19}", said) else said
    if slot.check is as_flag:
        return {"true": True, "false": False}.get(said, said)
    return unquote(said, errors="surrogateescape")
