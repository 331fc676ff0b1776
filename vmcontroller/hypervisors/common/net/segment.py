"""A TCP segment (RFC 9293, 3.1): octets to a value and back, and the arithmetic of its sequence numbers."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

from vmcontroller.hypervisors.common.net.frames import TCP, Malformed, checksum, is_sound, pseudo_header

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_HEADER = struct.Struct("!HHIIBBHHH")
_END, _NOTHING, _MSS, _SCALE = 0, 1, 2, 3
_NUMBERS = 1 << 32


def plus(number: int, distance: int) -> int:
    """The sequence number so far behind ``number``."""
    return (number + distance) % _NUMBERS


def distance(start: int, end: int) -> int:
    """How far ``end`` lies behind ``start``, by the shorter way round; negative when it lies before."""
    return (end - start + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2


class Segment(NamedTuple):
    """One segment. ``mss`` is 0 and ``scale`` None where the option is missing; other options are passed over."""

    source: int
    destination: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    payload: bytes = b""
    mss: int = 0
    scale: int | None = None

    @property
    def length(self) -> int:
        """How many sequence numbers it takes: SYN and FIN have one each."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    @classmethod
    def decode(cls, octets: bytes, source: bytes, destination: bytes) -> Self:
        """The segment in a packet between these addresses, or Malformed."""
        if len(octets) < _HEADER.size:
            raise Malformed("a segment that is cut off")
        port, to, sequence, acknowledgement, start, flags, window, _, _ = _HEADER.unpack_from(octets)
        start = 4 * (start >> 4)
        if not _HEADER.size <= start <= len(octets):
            raise Malformed("a segment whose header does not fit")
        if not is_sound(pseudo_header(source, destination, TCP, len(octets)) + octets):
            raise Malformed("a segment with a wrong checksum")
        mss, scale = _options(octets[_HEADER.size : start]) if flags & SYN else (0, None)
        return cls(port, to, sequence, acknowledgement, flags, window, octets[start:], mss, scale)

    def encode(self, source: bytes, destination: bytes) -> bytes:
        """Its octets in a packet between these addresses."""
        options = self._encoded_options()
        start = (_HEADER.size + len(options)) << 2
        fields = (self.source, self.destination, self.sequence, self.acknowledgement, start, self.flags, self.window)
        octets = _HEADER.pack(*fields, 0, 0) + options + self.payload
        check = checksum(pseudo_header(source, destination, TCP, len(octets)) + octets)
        return octets[:16] + check + octets[18:]

    def _encoded_options(self) -> bytes:
        options = struct.pack("!BBH", _MSS, 4, self.mss) if self.mss else b""
        if self.scale is not None:
            options += struct.pack("!BBBB", _NOTHING, _SCALE, 3, self.scale)
        return options


def _options(octets: bytes) -> tuple[int, int | None]:
    """The greatest segment and the window's scale."""
    mss, scale = 0, None
    while octets and octets[0] != _END:
        if octets[0] == _NOTHING:
            octets = octets[1:]
            continue
        if len(octets) < 2 or not 2 <= octets[1] <= len(octets):
            raise Malformed("a segment whose options do not fit")
        kind, value, octets = octets[0], octets[2 : octets[1]], octets[octets[1] :]
        if kind == _MSS and len(value) == 2:
            mss = int.from_bytes(value, "big")
        elif kind == _SCALE and len(value) == 1:
            scale = value[0]
    return mss, scale
