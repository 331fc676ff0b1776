"""A network of two: a guest, whose frames come and go as UDP datagrams on this host, and its gateway, which is here.

The gateway answers ARP for itself, DHCP and pings; it calls the guest's ports when it is told to. Calls of the guest's
are refused, everything else is dropped. Nothing that the guest sends opens a socket, and nothing is forwarded: it
cannot reach anything but this module.
"""

from __future__ import annotations

import secrets
import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IReactorUDP, IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from vmcontroller.hypervisors.common.net import dhcp
from vmcontroller.hypervisors.common.net.frames import (
    ANSWER,
    ARP,
    ASK,
    EVERYBODY,
    ICMP,
    IPV4,
    NOBODY,
    TCP,
    UDP,
    Arp,
    Ethernet,
    Ipv4,
    Malformed,
    Udp,
    echo_reply,
)
from vmcontroller.hypervisors.common.net.segment import Segment
from vmcontroller.hypervisors.common.net.tcp import Connection, refusal
from vmcontroller.hypervisors.common.net.transport import GuestTransport

LOOPBACK = "127.0.0.1"
#: The addresses that guests of QEMU and VirtualBox are used to.
GATEWAY, GUEST = socket.inet_aton("10.0.2.2"), socket.inet_aton("10.0.2.15")
GATEWAY_MAC = bytes.fromhex("5255 0a00 0202")
_LEASE = dhcp.Lease(GATEWAY, GUEST, socket.inet_aton("255.255.255.0"))
#: Octets in a segment, for a guest that takes as many: those of a packet of 9000. Macs send no datagram beyond 9216.
_MSS = 8960
#: More than any frame, and for the guest's bursts as many octets as the system gives.
_LARGEST, _BURST = 16384, 1 << 20
#: The ports that calls come from (RFC 6335).
_FIRST_PORT, _PORTS = 49152, 16384
#: The bit of an Ethernet address that is never set in a card's own.
_GROUP = 0x01


class INetworkReactor(IReactorUDP, IReactorTime):
    """What a network needs of the reactor."""


class Network(DatagramProtocol):
    """One guest's network. Its frames are taken from one port of this host alone, and sent there."""

    noisy = False

    def __init__(self, reactor: INetworkReactor) -> None:
        self._reactor = reactor
        self._port: Any = None
        self._peer: tuple[str, int] | None = None
        self._mac = b""
        self._calls: dict[tuple[int, int], GuestTransport] = {}

    # -- the wire

    def open(self, port: int = 0) -> int:
        """Listen for frames at this port of loopback, or at a free one; its number. CannotListenError."""
        self._port = self._reactor.listenUDP(port, self, interface=LOOPBACK, maxPacketSize=_LARGEST)
        return int(self._port.getHost().port)

    def startProtocol(self) -> None:
        assert self.transport is not None
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BURST)  # type: ignore[attr-defined]

    def plug_in(self, port: int) -> None:
        """The guest's frames come from this port of loopback."""
        assert self.transport is not None
        self._peer = (LOOPBACK, port)
        self.transport.connect(*self._peer)

    def close(self) -> Deferred[None]:
        """Cut all connections and the wire; fires when that is so."""
        for call in list(self._calls.values()):
            call.abortConnection()
        port, self._port, self._peer = self._port, None, None
        return maybeDeferred(port.stopListening) if port is not None else maybeDeferred(lambda: None)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if addr != self._peer:
            return
        try:
            self._take(Ethernet.decode(datagram))
        except Malformed:
            pass

    def _send(self, destination: bytes, kind: int, octets: bytes) -> None:
        """A frame for the guest. One that the system does not take is lost, as any may be."""
        if self._peer is None or self.transport is None:
            return
        try:
            self.transport.write(Ethernet(destination, GATEWAY_MAC, kind, octets).encode(), self._peer)
        except OSError:
            pass

    # -- what the guest sends

    def _take(self, frame: Ethernet) -> None:
        if frame.destination not in (GATEWAY_MAC, EVERYBODY) or frame.source[0] & _GROUP:
            return
        if frame.kind == ARP:
            self._take_arp(Arp.decode(frame.payload), frame.source)
        elif frame.kind == IPV4:
            self._take_packet(Ipv4.decode(frame.payload), frame.source)

    def _take_arp(self, arp: Arp, mac: bytes) -> None:
        if arp.sender_ip == GUEST:
            self._mac = mac
        if arp.operation == ASK and arp.target_ip == GATEWAY:
            self._send(mac, ARP, Arp(ANSWER, GATEWAY_MAC, GATEWAY, mac, arp.sender_ip).encode())

    def _take_packet(self, packet: Ipv4, mac: bytes) -> None:
        if packet.protocol == UDP and packet.destination in (GATEWAY, dhcp.BROADCAST):
            self._take_datagram(packet, mac)
        if (packet.source, packet.destination) != (GUEST, GATEWAY):
            return
        self._mac = mac
        if packet.protocol == TCP:
            self._take_segment(Segment.decode(packet.payload, GUEST, GATEWAY))
        elif packet.protocol == ICMP:
            self._send(mac, IPV4, Ipv4(GATEWAY, GUEST, ICMP, echo_reply(packet.payload)).encode())

    def _take_datagram(self, packet: Ipv4, mac: bytes) -> None:
        datagram = Udp.decode(packet.payload, packet.source, packet.destination)
        if datagram.destination != dhcp.SERVER_PORT:
            return
        answer = dhcp.answer(_LEASE, datagram.payload)
        if answer is None:
            return
        self._mac = mac
        if answer.kind is dhcp.Kind.OFFER:
            self._forget_the_past()
        octets = Udp(dhcp.SERVER_PORT, dhcp.CLIENT_PORT, answer.octets).encode(GATEWAY, answer.destination)
        to = EVERYBODY if answer.destination == dhcp.BROADCAST else mac
        self._send(to, IPV4, Ipv4(GATEWAY, answer.destination, UDP, octets).encode())

    def _forget_the_past(self) -> None:
        """The guest's network has just come up: it knows nothing of the connections that there were."""
        for call in list(self._calls.values()):
            if call.opened.called:
                call.abortConnection()

    def _take_segment(self, segment: Segment) -> None:
        call = self._calls.get((segment.destination, segment.source))
        if call is not None:
            call.hear(segment)
        elif reset := refusal(segment):
            self._send_segment(reset)

    # -- what goes to the guest

    def endpoint(self, port: int) -> IStreamClientEndpoint:
        """A port of the guest's. Connecting waits as long as the caller: a guest may still be booting."""
        return GuestEndpoint(self, port)

    def call(self, port: int, protocol: IProtocol) -> Deferred[IProtocol]:
        """Connect the protocol with a port of the guest's; fires with it."""
        ends = (self._free_port(port), port)
        connection = Connection(*ends, _MSS, secrets.randbits(32))
        transport = GuestTransport(
            *(self._reactor, connection, protocol),
            ends=(_address(GATEWAY, ends[0]), _address(GUEST, ends[1])),
            send=self._send_segment,
            gone=lambda: self._forget(ends),
        )
        self._calls[ends] = transport
        transport.open()
        return transport.opened

    def _forget(self, ends: tuple[int, int]) -> None:
        self._calls.pop(ends, None)

    def _free_port(self, remote: int) -> int:
        """One that nobody guesses, and that no older connection of the guest's is likely to have."""
        while (port := _FIRST_PORT + secrets.randbelow(_PORTS), remote) in self._calls:
            pass
        return port

    def _send_segment(self, segment: Segment) -> None:
        if self._mac:
            octets = segment.encode(GATEWAY, GUEST)
            self._send(self._mac, IPV4, Ipv4(GATEWAY, GUEST, TCP, octets).encode())
        else:
            self._send(EVERYBODY, ARP, Arp(ASK, GATEWAY_MAC, GATEWAY, NOBODY, GUEST).encode())


@implementer(IStreamClientEndpoint)
class GuestEndpoint:
    """A port of a network's guest."""

    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a protocol that the factory makes; cancelling hangs up."""
        protocol = protocolFactory.buildProtocol(_address(GUEST, self._port))
        assert protocol is not None
        return self._network.call(self._port, protocol)


def _address(ip: bytes, port: int) -> IPv4Address:
    return IPv4Address("TCP", socket.inet_ntoa(ip), port)
