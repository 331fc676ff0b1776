"""A client for tests that says exactly the octets it is told to, and a broker on a free port for it."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.trial.unittest import TestCase

from vmcontroller.broker import Broker, Limits
from vmcontroller.wire.stomp import Frame, Parser, Version

SECONDS = 10


class Peer(Protocol):
    """Says octets, and hands out the frames that come, one by one."""

    def __init__(self) -> None:
        self.parser = Parser()
        self.parser.version = Version.V1_2
        self.heard: DeferredQueue[Frame] = DeferredQueue()
        self.octets = bytearray()
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.octets += data
        for frame in self.parser.feed(data):
            self.heard.put(frame)

    def connectionLost(self, reason=connectionDone) -> None:
        self.ended.callback(None)

    def say(self, text: str | bytes) -> None:
        """``text`` is one frame, without the NUL at its end."""
        self.transport.write((text.encode() if isinstance(text, str) else text) + b"\0")

    def frame(self) -> Deferred[Frame]:
        """The next frame."""
        return self.heard.get().addTimeout(SECONDS, reactor)

    def end(self) -> Deferred[None]:
        """When the connection is gone."""
        return self.ended.addTimeout(SECONDS, reactor)

    async def ask(self, text: str | bytes) -> Frame:
        """Say a frame that has a receipt, and give what is answered."""
        self.say(text)
        return await self.frame()

    async def subscribe(self, destination: str, id: str = "1", ack: str = "auto") -> None:
        """Subscribe, and wait until it is so."""
        answer = await self.ask(f"SUBSCRIBE\nid:{id}\ndestination:{destination}\nack:{ack}\nreceipt:s{id}\n\n")
        assert (answer.cmd, answer.headers) == ("RECEIPT", {"receipt-id": f"s{id}"}), answer

    async def send(self, destination: str, body: str) -> None:
        """Send, and wait until it is done."""
        answer = await self.ask(f"SEND\ndestination:{destination}\nreceipt:r\n\n{body}")
        assert answer.cmd == "RECEIPT", answer

    async def bodies(self, count: int) -> list[str]:
        """The bodies of the next so many messages."""
        return [(await self.frame()).body.decode() for _ in range(count)]

    async def is_undisturbed(self) -> None:
        """It is still served, and nothing else has come for it."""
        answer = await self.ask("SEND\ndestination:/topic/nobody\nreceipt:alive\n\n")
        assert answer.headers == {"receipt-id": "alive"}, answer


class BrokerCase(TestCase):
    """A broker where ``user`` may do everything, on a free port of loopback."""

    limits = Limits()

    def setUp(self) -> None:
        self.broker = Broker(reactor, self.limits)
        everything = ("/topic/#", "/queue/#")
        self.broker.allow("user", "pass", read=everything, write=everything)
        self.port = reactor.listenTCP(0, self.broker.factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.port.stopListening(), self.broker.close()])

    async def dial(self) -> Peer:
        """A connection on which nothing was said yet."""
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        peer = await connectProtocol(endpoint, Peer())
        self.addCleanup(peer.end)
        self.addCleanup(peer.transport.abortConnection)
        return peer

    async def login(self, login: str = "user", version: str = "1.2", passcode: str = "pass", more: str = "") -> Peer:
        """A client that has logged in."""
        peer = await self.dial()
        peer.say(f"CONNECT\naccept-version:{version}\nhost:h\nlogin:{login}\npasscode:{passcode}\n{more}\n")
        answer = await peer.frame()
        assert answer.cmd == "CONNECTED", answer
        peer.parser.version = Version(version)
        return peer
