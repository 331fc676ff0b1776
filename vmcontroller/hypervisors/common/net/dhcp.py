"""Gives the one guest its address (RFC 2131, RFC 2132).

The lease never ends, and it leads nowhere: neither a router nor a name server is told, so that programs in the guest
learn at once that nothing is to be reached. Requests and answers are octets of UDP.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from vmcontroller.hypervisors.common.net.frames import Malformed

CLIENT_PORT, SERVER_PORT = 68, 67
BROADCAST = b"\xff" * 4

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s192x4s")
_REQUEST, _REPLY = 1, 2
_COOKIE = bytes((99, 130, 83, 99))
_NONE = bytes(4)
_PAD, _MASK, _ADDRESS, _LEASE, _KIND, _SERVER, _END = 0, 1, 50, 51, 53, 54, 255
_FOR_EVER = b"\xff" * 4
#: Some clients take no shorter answer (RFC 1542, 2.1).
_SHORTEST = 300


class Kind(IntEnum):
    """Messages (RFC 2132, 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    ACK = 5
    NAK = 6
    INFORM = 8


@dataclass(frozen=True)
class Lease:
    """What the guest is told: addresses, of four octets each."""

    server: bytes
    client: bytes
    mask: bytes


class Answer(NamedTuple):
    """What is sent back, and to which address."""

    kind: Kind
    destination: bytes
    octets: bytes


class _Request(NamedTuple):
    kind: int
    transaction: int
    flags: int
    address: bytes
    hardware: tuple[int, int, bytes]
    options: dict[int, bytes]


def answer(lease: Lease, octets: bytes) -> Answer | None:
    """The answer to a client's message, or None for one that wants none or is another server's; Malformed."""
    request = _decoded(octets)
    if request.options.get(_SERVER, lease.server) != lease.server:
        return None
    match request.kind:
        case Kind.DISCOVER:
            return _answer(lease, request, Kind.OFFER)
        case Kind.REQUEST:
            wanted = request.options.get(_ADDRESS, request.address)
            return _answer(lease, request, Kind.ACK if wanted == lease.client else Kind.NAK)
        case Kind.INFORM:
            return _answer(lease, request, Kind.ACK)
    return None


def _answer(lease: Lease, request: _Request, kind: Kind) -> Answer:
    """A client that has its address already hears there; to all others one has to shout."""
    granted = kind is not Kind.NAK
    address = lease.client if granted and request.kind != Kind.INFORM else _NONE
    hardware_type, hardware_length, hardware = request.hardware
    held = request.address if granted else _NONE
    header = _HEADER.pack(
        *(_REPLY, hardware_type, hardware_length, 0, request.transaction, 0, request.flags),
        *(held, address, _NONE, _NONE, hardware, _COOKIE),
    )
    options = [(_KIND, bytes((kind,))), (_SERVER, lease.server)]
    if granted:
        options.append((_MASK, lease.mask))
    if address != _NONE:
        options.append((_LEASE, _FOR_EVER))
    body = b"".join(bytes((code, len(value))) + value for code, value in options) + bytes((_END,))
    return Answer(kind, held if held != _NONE else BROADCAST, (header + body).ljust(_SHORTEST, b"\0"))


def _decoded(octets: bytes) -> _Request:
    if len(octets) < _HEADER.size:
        raise Malformed("a DHCP message that is cut off")
    operation, *fields = _HEADER.unpack_from(octets)
    kind, length, _, transaction, _, flags, address, _, _, _, hardware, cookie = fields
    if operation != _REQUEST or cookie != _COOKIE:
        raise Malformed("no DHCP request")
    options = _options(octets[_HEADER.size :])
    said = options.get(_KIND, b"")
    return _Request(said[0] if said else 0, transaction, flags, address, (kind, length, hardware), options)


def _options(octets: bytes) -> dict[int, bytes]:
    """The options by their numbers; what is cut off is not there."""
    options: dict[int, bytes] = {}
    while octets and octets[0] != _END:
        if octets[0] == _PAD:
            octets = octets[1:]
            continue
        if len(octets) < 2 or len(octets) < 2 + octets[1]:
            raise Malformed("DHCP options that do not fit")
        options[octets[0]] = octets[2 : 2 + octets[1]]
        octets = octets[2 + octets[1] :]
    return options
