"""Octets to values and back: what is whole comes back as it was, what is not is Malformed and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.hypervisors.common.net import dhcp
from vmcontroller.hypervisors.common.net.frames import (
    ASK,
    Arp,
    Ethernet,
    Ipv4,
    Malformed,
    Udp,
    checksum,
    echo_reply,
    is_sound,
)
from vmcontroller.hypervisors.common.net.segment import ACK, SYN, Segment

IP = st.binary(min_size=4, max_size=4)
MAC = st.binary(min_size=6, max_size=6)
PORT = st.integers(0, 65535)
NUMBER = st.integers(0, 2**32 - 1)
HERE, THERE = bytes([10, 0, 2, 2]), bytes([10, 0, 2, 15])
LEASE = dhcp.Lease(HERE, THERE, bytes([255, 255, 255, 0]))


def test_checksum_of_the_rfc() -> None:
    """The example of RFC 1071: the sum of these words is ddf2, with what it carries."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == bytes.fromhex("220d")


def test_known_packet() -> None:
    """A header that is known to be right elsewhere is right here."""
    header = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    assert is_sound(header)
    assert checksum(header[:10] + b"\0\0" + header[12:]) == bytes.fromhex("b861")


@given(MAC, MAC, PORT, st.binary(max_size=100))
def test_ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> None:
    frame = Ethernet(destination, source, kind, payload)
    assert Ethernet.decode(frame.encode()) == frame


@given(MAC, IP, MAC, IP, st.binary(max_size=18))
def test_arp(sender: bytes, sender_ip: bytes, target: bytes, target_ip: bytes, padding: bytes) -> None:
    arp = Arp(ASK, sender, sender_ip, target, target_ip)
    assert Arp.decode(arp.encode() + padding) == arp


@given(IP, IP, st.integers(0, 255), st.binary(max_size=100), st.binary(max_size=20))
def test_ipv4(source: bytes, destination: bytes, protocol: int, payload: bytes, padding: bytes) -> None:
    """A card pads what is short."""
    packet = Ipv4(source, destination, protocol, payload)
    assert Ipv4.decode(packet.encode() + padding) == packet


@given(PORT, PORT, st.binary(max_size=101), IP, IP)
def test_udp(source: int, destination: int, payload: bytes, here: bytes, there: bytes) -> None:
    datagram = Udp(source, destination, payload)
    octets = datagram.encode(here, there)
    assert Udp.decode(octets, here, there) == datagram
    assert Udp.decode(octets[:6] + b"\0\0" + octets[8:], here, there) == datagram  # Without a checksum.


SEGMENTS = st.tuples(
    *(PORT, PORT, NUMBER, NUMBER, st.sampled_from([ACK, ACK | SYN]), PORT, st.binary(max_size=101))
).map(lambda fields: Segment(*fields))


@given(SEGMENTS, PORT, st.none() | st.integers(0, 14))
def test_segment(segment: Segment, mss: int, scale: int | None) -> None:
    """Options stand beside SYN alone."""
    if segment.flags & SYN:
        segment = segment._replace(mss=mss, scale=scale)
    assert Segment.decode(segment.encode(HERE, THERE), HERE, THERE) == segment


@given(SEGMENTS, st.data())
def test_one_flipped_bit(segment: Segment, data: st.DataObject) -> None:
    """A checksum finds every single bit that is wrong."""
    octets = bytearray(segment.encode(HERE, THERE))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Malformed):
        Segment.decode(bytes(octets), HERE, THERE)


def test_options_of_linux() -> None:
    """Others' options are passed over."""
    options = bytes.fromhex("020405b40402080a0000000000000000010303070000")[:20]
    bare = Segment(1, 2, 3, 4, SYN, 5).encode(HERE, THERE)
    octets = bare[:12] + bytes([10 << 4]) + bare[13:16] + b"\0\0" + bare[18:] + options
    pseudo = HERE + THERE + bytes([0, 6, 0, len(octets)])
    octets = octets[:16] + checksum(pseudo + octets) + octets[18:]
    segment = Segment.decode(octets, HERE, THERE)
    assert (segment.mss, segment.scale) == (1460, 7)


def test_echo() -> None:
    """The answer to a ping has its number and its octets."""
    ping = bytes([8, 0, 0, 0]) + b"1234 and so on"
    ping = ping[:2] + checksum(ping) + ping[4:]
    answer = echo_reply(ping)
    assert is_sound(answer)
    assert (answer[0], answer[4:]) == (0, ping[4:])


@pytest.mark.parametrize(
    "decode",
    [
        Ethernet.decode,
        Arp.decode,
        Ipv4.decode,
        lambda octets: Udp.decode(octets, HERE, THERE),
        lambda octets: Segment.decode(octets, HERE, THERE),
        echo_reply,
        lambda octets: dhcp.answer(LEASE, octets),
    ],
)
@given(octets=st.binary(max_size=400))
def test_garbage(decode, octets: bytes) -> None:
    """Whatever comes is a value or malformed."""
    try:
        decode(octets)
    except Malformed:
        pass


@given(SEGMENTS, IP, IP, st.integers(0, 200))
def test_cut_off(segment: Segment, here: bytes, there: bytes, length: int) -> None:
    """A packet that was cut off anywhere is malformed, and no other error."""
    octets = Ipv4(here, there, 6, segment.encode(here, there)).encode()
    if length < len(octets):
        with pytest.raises(Malformed):
            Ipv4.decode(octets[:length])
