"""The guest gets its address, and is told of no way out."""

from __future__ import annotations

import struct

from vmcontroller.hypervisors.common.net import dhcp
from vmcontroller.hypervisors.common.net.dhcp import Kind, Lease

SERVER, CLIENT, OTHER = bytes([10, 0, 2, 2]), bytes([10, 0, 2, 15]), bytes([192, 168, 1, 7])
LEASE = Lease(SERVER, CLIENT, bytes([255, 255, 255, 0]))
MAC = bytes.fromhex("525400123456")


def message(kind: Kind, address: bytes = bytes(4), **options: bytes) -> bytes:
    """What a client says; options by their names in the table below."""
    numbers = {"wanted": 50, "server": 54, "list": 55}
    header = struct.pack("!BBBBIHH4s12x16s192x4s", 1, 1, 6, 0, 0xCAFE, 3, 0x8000, address, MAC, b"\x63\x82\x53\x63")
    body = bytes([53, 1, kind]) + b"".join(bytes([numbers[k], len(v)]) + v for k, v in options.items())
    return header + b"\0" + body + b"\xff"


def options(octets: bytes) -> dict[int, bytes]:
    return dhcp._options(octets[240:])


def test_a_new_guest() -> None:
    """It is offered an address, wants it and has it, for ever; nobody tells it a router or a name server."""
    offer = dhcp.answer(LEASE, message(Kind.DISCOVER, list=bytes([1, 3, 6, 26])))
    assert offer is not None
    assert (offer.kind, offer.destination) == (Kind.OFFER, dhcp.BROADCAST)
    assert len(offer.octets) >= 300
    assert offer.octets[16:20] == CLIENT
    assert offer.octets[4:8] == (0xCAFE).to_bytes(4, "big")
    assert offer.octets[28:34] == MAC
    granted = dhcp.answer(LEASE, message(Kind.REQUEST, wanted=CLIENT, server=SERVER))
    assert granted is not None
    told = options(granted.octets)
    assert (granted.kind, granted.octets[16:20]) == (Kind.ACK, CLIENT)
    assert told.keys() == {53, 54, 51, 1}
    assert (told[51], told[1]) == (b"\xff" * 4, bytes([255, 255, 255, 0]))


def test_a_guest_that_has_its_address() -> None:
    """One that renews its lease hears the answer at its address."""
    answer = dhcp.answer(LEASE, message(Kind.REQUEST, address=CLIENT))
    assert answer is not None
    assert (answer.kind, answer.destination) == (Kind.ACK, CLIENT)


def test_a_guest_from_elsewhere() -> None:
    """One that remembers an address of another network is told to ask anew."""
    answer = dhcp.answer(LEASE, message(Kind.REQUEST, wanted=OTHER))
    assert answer is not None
    assert (answer.kind, answer.destination, answer.octets[16:20]) == (Kind.NAK, dhcp.BROADCAST, bytes(4))
    assert options(answer.octets).keys() == {53, 54}


def test_settings_alone() -> None:
    """A guest with an address of its own gets settings, and no lease."""
    answer = dhcp.answer(LEASE, message(Kind.INFORM, address=CLIENT))
    assert answer is not None
    assert (answer.kind, answer.octets[16:20]) == (Kind.ACK, bytes(4))
    assert 51 not in options(answer.octets)


def test_no_answer() -> None:
    """What is meant for another server, or says good-bye, is left alone."""
    assert dhcp.answer(LEASE, message(Kind.REQUEST, wanted=CLIENT, server=OTHER)) is None
    assert dhcp.answer(LEASE, message(7)) is None  # type: ignore[arg-type]
