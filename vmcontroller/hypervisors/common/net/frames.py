"""Ethernet, ARP, IPv4, UDP and ICMP's echo: octets to values and back. Nothing is answered here, and nothing is kept.

``decode`` raises Malformed for what is cut off, has a wrong checksum or is of no use to a network of two; it copies
what it keeps. Addresses are octets: six on Ethernet, four in IPv4.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

ARP, IPV4 = 0x0806, 0x0800
ICMP, TCP, UDP = 1, 6, 17
ASK, ANSWER = 1, 2
EVERYBODY = b"\xff" * 6
NOBODY = bytes(6)

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
#: Hardware Ethernet, protocol IPv4, with the lengths of their addresses.
_ARP_KIND = (1, IPV4, 6, 4)
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_PSEUDO = struct.Struct("!4s4sBBH")
_UDP = struct.Struct("!HHHH")
_DONT_FRAGMENT, _FRAGMENT = 0x4000, 0x3FFF
_ECHO, _ECHO_REPLY = 8, 0
_TTL = 64


class Malformed(ValueError):
    """These octets are not what they should be; whoever sent them gets no answer."""


def checksum(octets: bytes) -> bytes:
    """The Internet checksum (RFC 1071), as it stands in a header whose field was zero.

    A sum of 16-bit words in one's complement is the whole number modulo 2**16 - 1, whichever end comes first: Python
    does that for a frame in microseconds.
    """
    return (0xFFFF - int.from_bytes(octets, "little") % 0xFFFF).to_bytes(2, "little")


def is_sound(octets: bytes) -> bool:
    """Whether octets that hold their own checksum are as they were sent."""
    return int.from_bytes(octets, "little") % 0xFFFF == 0


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What TCP's and UDP's checksums cover besides themselves (RFC 9293, 3.1)."""
    return _PSEUDO.pack(source, destination, 0, protocol, length)


class Ethernet(NamedTuple):
    """A frame without its check sequence, which no virtual card sends."""

    destination: bytes
    source: bytes
    kind: int
    payload: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        if len(octets) < _ETHERNET.size:
            raise Malformed("a frame without a whole header")
        destination, source, kind = _ETHERNET.unpack_from(octets)
        return cls(destination, source, kind, octets[_ETHERNET.size :])

    def encode(self) -> bytes:
        return _ETHERNET.pack(self.destination, self.source, self.kind) + self.payload


class Arp(NamedTuple):
    """Who has an IPv4 address (RFC 826); ``operation`` is ASK or ANSWER."""

    operation: int
    sender: bytes
    sender_ip: bytes
    target: bytes
    target_ip: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        if len(octets) < _ARP.size:
            raise Malformed("an ARP packet that is cut off")
        fields = _ARP.unpack_from(octets)
        if fields[:4] != _ARP_KIND:
            raise Malformed("an ARP packet of another kind of network")
        return cls(*fields[4:])

    def encode(self) -> bytes:
        return _ARP.pack(*_ARP_KIND, *self)


class Ipv4(NamedTuple):
    """A whole packet (RFC 791); fragments are malformed, as nothing between two neighbours makes any."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        if len(octets) < _IPV4.size:
            raise Malformed("an IPv4 packet that is cut off")
        version, _, length, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(octets)
        start = 4 * (version & 0x0F)
        if version >> 4 != 4 or not _IPV4.size <= start <= length <= len(octets):
            raise Malformed("an IPv4 packet whose lengths do not fit")
        if fragment & _FRAGMENT or not is_sound(octets[:start]):
            raise Malformed("a fragment, or a wrong checksum")
        return cls(source, destination, protocol, octets[start:length])

    def encode(self) -> bytes:
        length = _IPV4.size + len(self.payload)
        fields = (0x45, 0, length, 0, _DONT_FRAGMENT, _TTL, self.protocol)
        header = _IPV4.pack(*fields, 0, self.source, self.destination)
        return header[:10] + checksum(header) + header[12:] + self.payload


class Udp(NamedTuple):
    """A datagram (RFC 768)."""

    source: int
    destination: int
    payload: bytes

    @classmethod
    def decode(cls, octets: bytes, source: bytes, destination: bytes) -> Self:
        """The datagram in a packet between these addresses."""
        if len(octets) < _UDP.size:
            raise Malformed("a datagram that is cut off")
        port, to, length, check = _UDP.unpack_from(octets)
        if not _UDP.size <= length <= len(octets):
            raise Malformed("a datagram whose length does not fit")
        octets = octets[:length]
        if check and not is_sound(pseudo_header(source, destination, UDP, length) + octets):
            raise Malformed("a datagram with a wrong checksum")
        return cls(port, to, octets[_UDP.size :])

    def encode(self, source: bytes, destination: bytes) -> bytes:
        """Its octets in a packet between these addresses."""
        length = _UDP.size + len(self.payload)
        octets = _UDP.pack(self.source, self.destination, length, 0) + self.payload
        check = checksum(pseudo_header(source, destination, UDP, length) + octets)
        return octets[:6] + check + octets[8:]


def echo_reply(octets: bytes) -> bytes:
    """The answer to ICMP's echo request (RFC 792); Malformed for every other message."""
    if len(octets) < 8 or octets[:2] != bytes((_ECHO, 0)) or not is_sound(octets):
        raise Malformed("an ICMP message that asks for no echo")
    answer = bytes((_ECHO_REPLY, 0, 0, 0)) + octets[4:]
    return answer[:2] + checksum(answer) + answer[4:]
