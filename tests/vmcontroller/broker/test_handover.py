"""A connection that another protocol opened can be handed over to the broker."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from tests.vmcontroller.broker.peer import BrokerCase, Peer


class Doorkeeper(Protocol):
    """Takes one line, and gives what follows to the broker."""

    def dataReceived(self, data: bytes) -> None:
        _, _, leftover = data.partition(b"\n")
        connection = self.factory.broker.factory.buildProtocol(None)
        self.transport.protocol = connection
        connection.makeConnection(self.transport)
        connection.dataReceived(leftover)


class TestHandover(BrokerCase):
    """As the daemon does with a guest that it dialled."""

    def setUp(self) -> None:
        super().setUp()
        factory = Factory.forProtocol(Doorkeeper)
        factory.broker = self.broker
        self.door = reactor.listenTCP(0, factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.door.stopListening(), super().tearDown()])

    async def test_it_is_a_client_like_any_other(self):
        """What was read too far counts, it is served, and it is cut with the others."""
        peer = await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.door.getHost().port), Peer())
        peer.say("open\nCONNECT\naccept-version:1.2\nlogin:user\npasscode:pass\n\n")
        self.assertEqual((await peer.frame()).cmd, "CONNECTED")
        await peer.is_undisturbed()
        await self.broker.close()
        await peer.end()
