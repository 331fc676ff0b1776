"""A guest's card, on a UDP port: sends frames, and hears what the gateway sends."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from vmcontroller.hypervisors.common.net.frames import IPV4, TCP, Ethernet, Ipv4, Malformed
from vmcontroller.hypervisors.common.net.network import GATEWAY, GATEWAY_MAC, GUEST
from vmcontroller.hypervisors.common.net.segment import Segment

MAC = bytes.fromhex("080027112233")


class Card(DatagramProtocol):
    """``heard`` are the frames that came."""

    def __init__(self, network_port: int) -> None:
        self.heard: list[Ethernet] = []
        self._network = ("127.0.0.1", network_port)
        self._waiting: list[tuple[Callable[[Ethernet], object], Deferred[Ethernet]]] = []
        self.listening = reactor.listenUDP(0, self, interface="127.0.0.1", maxPacketSize=16384)
        self.port = self.listening.getHost().port

    def send(self, octets: bytes) -> None:
        self.transport.write(octets, self._network)

    def send_packet(self, protocol: int, payload: bytes, to: bytes = GATEWAY, sender: bytes = GUEST) -> None:
        packet = Ipv4(sender, to, protocol, payload)
        self.send(Ethernet(GATEWAY_MAC, MAC, IPV4, packet.encode()).encode())

    def send_segment(self, segment: Segment) -> None:
        self.send_packet(TCP, segment.encode(GUEST, GATEWAY))

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        frame = Ethernet.decode(datagram)
        self.heard.append(frame)
        for wanted, fired in list(self._waiting):
            if wanted(frame):
                self._waiting.remove((wanted, fired))
                fired.callback(frame)

    def until(self, wanted: Callable[[Ethernet], object]) -> Deferred[Ethernet]:
        """Fires with the next such frame."""
        fired: Deferred[Ethernet] = Deferred()
        self._waiting.append((wanted, fired))
        return fired.addTimeout(10, reactor)

    async def segment(self) -> Segment:
        """The next segment."""
        frame = await self.until(segment_in)
        segment = segment_in(frame)
        assert segment is not None
        return segment


def segment_in(frame: Ethernet) -> Segment | None:
    try:
        packet = Ipv4.decode(frame.payload) if frame.kind == IPV4 else None
        return Segment.decode(packet.payload, GATEWAY, GUEST) if packet and packet.protocol == TCP else None
    except Malformed:
        return None
