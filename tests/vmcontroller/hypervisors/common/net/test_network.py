"""The gateway of a closed network: what it answers to a guest, and that this is all."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.vmcontroller.hypervisors.common.net.guest import MAC, Card, segment_in
from tests.vmcontroller.hypervisors.common.net.test_dhcp import message
from vmcontroller.hypervisors.common.net.dhcp import Kind
from vmcontroller.hypervisors.common.net.frames import (
    ANSWER,
    ARP,
    ASK,
    EVERYBODY,
    ICMP,
    IPV4,
    UDP,
    Arp,
    Ethernet,
    Ipv4,
    Udp,
    checksum,
)
from vmcontroller.hypervisors.common.net.network import GATEWAY, GATEWAY_MAC, GUEST, Network
from vmcontroller.hypervisors.common.net.segment import ACK, FIN, PSH, RST, SYN, Segment, plus


class Caller(Protocol):
    """Hears, until the connection is lost."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(reason.type)


class Case(TestCase):
    """A network, and the card of its guest."""

    timeout = 20

    def setUp(self) -> None:
        self.network = Network(reactor)
        self.card = Card(self.network.open())
        self.network.plug_in(self.card.port)
        self.addCleanup(self.network.close)
        self.addCleanup(self.card.listening.stopListening)

    def ask(self) -> None:
        """Who has the gateway's address?"""
        self.card.send(Ethernet(EVERYBODY, MAC, ARP, Arp(ASK, MAC, GUEST, bytes(6), GATEWAY).encode()).encode())

    async def silence(self) -> list[Ethernet]:
        """What was answered to all that was sent before: nothing overtakes a question of ours."""
        before = len(self.card.heard)
        self.ask()
        await self.card.until(lambda frame: frame.kind == ARP)
        return self.card.heard[before:-1]

    def dial(self) -> Deferred[Any]:
        return self.network.endpoint(9094).connect(Factory.forProtocol(Caller))

    async def connected(self) -> tuple[Caller, Segment]:
        """A caller, and what the guest says next."""
        await self.silence()
        knock = self.card.segment()
        dialled = self.dial()
        heard = await knock
        said = Segment(9094, heard.source, 7000, plus(heard.sequence, 1), SYN | ACK, 8000, b"", 1460)
        self.card.send_segment(said)
        return await dialled, said._replace(sequence=7001, flags=ACK, mss=0)


class TestGateway(Case):
    """What a guest may ask."""

    async def test_arp(self) -> None:
        """It is told where the gateway is, and nobody else."""
        self.ask()
        frame = await self.card.until(lambda frame: frame.kind == ARP)
        self.assertEqual(Arp.decode(frame.payload), Arp(ANSWER, GATEWAY_MAC, GATEWAY, MAC, GUEST))
        other = Arp(ASK, MAC, GUEST, bytes(6), bytes([10, 0, 2, 3])).encode()
        self.card.send(Ethernet(EVERYBODY, MAC, ARP, other).encode())
        self.assertEqual(await self.silence(), [])

    async def test_ping(self) -> None:
        """The gateway answers, and no other address."""
        ping = bytes([8, 0]) + checksum(b"\x08\0\0\0abcd") + b"abcd"
        for to in ([127, 0, 0, 1], [10, 0, 2, 3], [192, 0, 2, 1], [255, 255, 255, 255]):
            self.card.send_packet(ICMP, ping, bytes(to))
        self.assertEqual(await self.silence(), [])
        self.card.send_packet(ICMP, ping)
        frame = await self.card.until(lambda frame: frame.kind == IPV4)
        self.assertEqual(Ipv4.decode(frame.payload).payload[4:], b"abcd")

    async def test_dhcp(self) -> None:
        """It gets its address, before it has one."""
        request = Udp(68, 67, message(Kind.DISCOVER)).encode(bytes(4), b"\xff" * 4)
        packet = Ipv4(bytes(4), b"\xff" * 4, UDP, request).encode()
        self.card.send(Ethernet(EVERYBODY, MAC, IPV4, packet).encode())
        frame = await self.card.until(lambda frame: frame.kind == IPV4)
        answer = Ipv4.decode(frame.payload)
        self.assertEqual((frame.destination, answer.destination), (EVERYBODY, b"\xff" * 4))
        self.assertEqual(Udp.decode(answer.payload, answer.source, answer.destination).payload[16:20], GUEST)


class TestIsolation(Case):
    """What a guest may not."""

    async def test_its_calls_are_refused(self) -> None:
        """A call to the gateway is reset at once, whatever the port; elsewhere nobody answers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ports = (listener.getsockname()[1], self.card.port, 22, 61613)
            for port in ports:
                call = Segment(5000, port, 1, 0, SYN, 1000)
                for to in ([127, 0, 0, 1], [192, 0, 2, 1], [10, 0, 2, 3]):
                    octets = call.encode(GUEST, bytes(to))
                    self.card.send_packet(6, octets, bytes(to))
                self.assertEqual(await self.silence(), [])
                answer = self.card.segment()
                self.card.send_segment(call)
                self.assertEqual(await answer, Segment(port, 5000, 0, 2, RST | ACK, 0))
            listener.setblocking(False)
            self.assertRaises(BlockingIOError, listener.accept)

    async def test_no_socket_is_opened(self) -> None:
        """Whatever it sends, the reactor has the same descriptors as before."""
        await self.silence()
        before = set(reactor.getReaders()) | set(reactor.getWriters())
        for port in (1, 22, 53, 61614, 9094):
            self.card.send_segment(Segment(5000, port, 1, 0, SYN, 1000))
            self.card.send_packet(UDP, Udp(5000, port, b"hello").encode(GUEST, GATEWAY))
        await self.silence()
        self.assertEqual(set(reactor.getReaders()) | set(reactor.getWriters()), before)

    async def test_ipv6_is_dropped(self) -> None:
        """There is no such thing here."""
        for destination in (GATEWAY_MAC, EVERYBODY, bytes.fromhex("333300000001")):
            self.card.send(Ethernet(destination, MAC, 0x86DD, bytes(60)).encode())
        self.assertEqual(await self.silence(), [])

    async def test_others_on_this_host(self) -> None:
        """Frames from another port of this host are dropped."""
        stranger = Card(self.network._port.getHost().port)
        self.addCleanup(stranger.listening.stopListening)
        stranger.send(Ethernet(EVERYBODY, MAC, ARP, Arp(ASK, MAC, GUEST, bytes(6), GATEWAY).encode()).encode())
        self.assertEqual(await self.silence(), [])
        self.assertEqual(stranger.heard, [])


class TestCalls(Case):
    """The host calls the guest."""

    async def test_conversation(self) -> None:
        """What is said arrives on both sides, and so does the end."""
        caller, said = await self.connected()
        heard = self.card.until(lambda frame: (segment_in(frame) or said).payload)
        caller.transport.write(b"hello")
        self.assertEqual(segment_in(await heard).payload, b"hello")
        ended = self.card.until(lambda frame: (segment_in(frame) or said).flags & FIN)
        answer = said._replace(acknowledgement=plus(said.acknowledgement, 5), flags=ACK | PSH | FIN, payload=b"bye")
        self.card.send_segment(answer)
        self.assertIs(await caller.lost, ConnectionDone)
        self.assertEqual(caller.heard, b"bye")
        await ended

    async def test_refused(self) -> None:
        """A port where nobody listens in the guest."""
        await self.silence()
        knock = self.card.segment()
        dialled = self.dial()
        heard = await knock
        self.card.send_segment(Segment(9094, heard.source, 0, plus(heard.sequence, 1), RST | ACK, 0))
        await self.assertFailure(dialled, ConnectionRefusedError)

    async def test_guest_forgot(self) -> None:
        """A guest that was restored from a snapshot resets what it does not know: the connection is lost at once."""
        caller, said = await self.connected()
        caller.transport.write(b"still there?")
        heard = segment_in(await self.card.until(lambda frame: (segment_in(frame) or said).payload))
        self.card.send_segment(Segment(9094, heard.source, heard.acknowledgement, 0, RST, 0))
        self.assertIs(await caller.lost, ConnectionLost)

    async def test_guest_rebooted(self) -> None:
        """One that asks for an address has just come up: connections of before are lost, without waiting for a word."""
        caller, _ = await self.connected()
        request = Udp(68, 67, message(Kind.DISCOVER)).encode(bytes(4), b"\xff" * 4)
        self.card.send_packet(UDP, request, b"\xff" * 4, bytes(4))
        self.assertIs(await caller.lost, ConnectionAborted)

    async def test_daemon_restarted(self) -> None:
        """What the guest says in a connection with an earlier daemon is reset."""
        reset = self.card.segment()
        self.card.send_segment(Segment(9094, 50000, 123, 456, ACK | PSH, 1000, b"still there"))
        self.assertEqual(await reset, Segment(50000, 9094, 456, 0, RST, 0))

    async def test_unknown_card(self) -> None:
        """A guest that has said nothing yet is asked for its card's address, and then called."""
        asked = self.card.until(lambda frame: frame.kind == ARP)
        dialled = self.dial()
        question = Arp.decode((await asked).payload)
        self.assertEqual((question.operation, question.target_ip), (ASK, GUEST))
        knock = self.card.segment()
        answer = Arp(ANSWER, MAC, GUEST, GATEWAY_MAC, GATEWAY)
        self.card.send(Ethernet(GATEWAY_MAC, MAC, ARP, answer.encode()).encode())
        self.assertEqual((await knock).flags, SYN)
        dialled.cancel()
        await self.assertFailure(dialled, CancelledError)
        self.assertEqual(self.network._calls, {})

    async def test_backpressure(self) -> None:
        """What the guest does not take pauses who says it; what nobody takes closes the window."""
        caller, said = await self.connected()
        caller.transport.registerProducer(producer := Producer(), True)
        caller.transport.write(bytes(300_000))
        self.assertEqual(producer.said, ["pause"])
        caller.transport.pauseProducing()
        for number in range(100):
            segment = said._replace(sequence=plus(said.sequence, 1400 * number), payload=bytes(1400), flags=ACK)
            self.card.send_segment(segment)
        await self.silence()
        closed = [found for frame in self.card.heard if (found := segment_in(frame))][-1]
        self.assertLess(closed.window, 1400)
        self.assertEqual(caller.heard, b"")
        caller.transport.resumeProducing()
        self.assertGreaterEqual(len(caller.heard), 65_535 - 1400)


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")


class Wire:
    """A UDP port that leads nowhere."""

    def __init__(self) -> None:
        self.sent = 0

    def write(self, datagram: bytes, address: object = None) -> None:
        self.sent += 1


FRAMES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda kind, payload: GATEWAY_MAC + MAC + kind + payload,
        st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd"]),
        st.binary(max_size=100),
    ),
    st.builds(
        lambda protocol, payload, to: GATEWAY_MAC + MAC + b"\x08\x00" + Ipv4(GUEST, to, protocol, payload).encode(),
        st.sampled_from([1, 6, 17]),
        st.binary(max_size=100),
        st.sampled_from([GATEWAY, b"\xff" * 4]),
    ),
    st.builds(
        lambda source, port, number, flags, payload: (
            GATEWAY_MAC
            + MAC
            + b"\x08\x00"
            + Ipv4(
                GUEST, GATEWAY, 6, Segment(source, port, number, number, flags, 100, payload).encode(GUEST, GATEWAY)
            ).encode()
        ),
        st.sampled_from([9094, 61614, 5]),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.integers(0, 255),
        st.binary(max_size=50),
    ),
)


class TestGarbage(SynchronousTestCase):
    """A guest that sends whatever it likes."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(FRAMES, max_size=20))
    def test_any_frames(self, frames: list[bytes]) -> None:
        """Nothing is raised, nothing is kept, and no frame has more than one answer."""
        network = Network(Clock())
        network._peer = ("127.0.0.1", 1)
        network.transport = wire = Wire()
        for frame in frames:
            network.datagramReceived(frame, ("127.0.0.1", 1))
        self.assertLessEqual(wire.sent, len(frames))
        self.assertEqual(network._calls, {})


class TestWire(TestCase):
    """The UDP port."""

    async def test_same_port_again(self) -> None:
        """The next daemon listens where the last one did."""
        network = Network(reactor)
        port = network.open()
        await network.close()
        again = Network(reactor)
        self.assertEqual(again.open(port), port)
        await again.close()

    async def test_nobody_there(self) -> None:
        """While no machine runs at the other end, what is sent is lost and nothing breaks."""
        network = Network(reactor)
        network.open()
        gone = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
        network.plug_in(gone.getHost().port)
        await gone.stopListening()
        dialled = network.endpoint(9094).connect(Factory.forProtocol(Caller))
        await deferLater(reactor, 0.6)
        dialled.cancel()
        await self.assertFailure(dialled, CancelledError)
        await network.close()
