"""The messenger against the real broker, over real sockets."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, fail, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vmcontroller.broker import Broker
from vmcontroller.messaging import Messenger
from vmcontroller.messaging.messenger import FIRST_WAIT, LONGEST_WAIT

SECONDS = 10
HERE, THERE = "/topic/here", "/topic/there"


class Listener:
    """Hands out, one by one, what a messenger tells."""

    def __init__(self) -> None:
        self._told: DeferredQueue[tuple] = DeferredQueue()

    def up(self) -> None:
        self._told.put(("up",))

    def message(self, destination, headers, body) -> None:
        if body == b"bad":
            raise ZeroDivisionError
        self._told.put((destination, headers.get("word"), body))

    def down(self, reason) -> None:
        self._told.put(("down", reason))

    def drained(self) -> None:
        self._told.put(("drained",))

    def untold(self) -> list:
        """What has not been handed out."""
        return self._told.pending

    def next(self) -> Deferred[tuple]:
        return self._told.get().addTimeout(SECONDS, reactor)


class MessengerCase(TestCase):
    """A broker, and messengers that are stopped in the end."""

    def setUp(self) -> None:
        self.broker = Broker(reactor)
        self.broker.allow("user", "pass", read=["/topic/#"], write=["/topic/#"])
        self.port = reactor.listenTCP(0, self.broker.factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.port.stopListening(), self.broker.close()])

    def endpoint(self, port=None) -> HostnameEndpoint:
        return HostnameEndpoint(reactor, "127.0.0.1", (port or self.port).getHost().port)

    def messenger(self, destinations=(HERE,), endpoint="dial", passcode: str = "pass") -> tuple[Messenger, Listener]:
        listener = Listener()
        messenger = Messenger(
            reactor,
            self.endpoint() if endpoint == "dial" else endpoint,
            *("user", passcode, "/", list(destinations)),
            *(listener.up, listener.message, listener.down, listener.drained),
        )
        self.addCleanup(messenger.stopService)
        messenger.startService()
        return messenger, listener

    async def up(self, *arguments, **keywords) -> tuple[Messenger, Listener]:
        messenger, listener = self.messenger(*arguments, **keywords)
        self.assertEqual(await listener.next(), ("up",))
        return messenger, listener


class TestTalking(MessengerCase):
    async def test_what_one_sends_another_hears(self):
        """Headers and octets arrive as they were sent."""
        here, _ = await self.up()
        _, there = await self.up([THERE])
        body = bytes(range(256)) * 256
        self.assertTrue(here.send(THERE, {"word": "a:b\nc"}, body))
        self.assertEqual(await there.next(), (THERE, "a:b\nc", body))

    async def test_who_is_up_is_heard(self):
        """As soon as it is up, nothing that others send is missed."""
        here, _ = await self.up()
        for _ in range(20):
            there, listener = await self.up([THERE])
            here.send(THERE, {}, b"x")
            self.assertEqual(await listener.next(), (THERE, None, b"x"))
            await there.stopService()

    async def test_nothing_is_sent_while_it_is_not_up(self):
        """Nor is it kept for later: whoever must be heard repeats himself."""
        messenger, listener = self.messenger()
        self.assertFalse(messenger.send(HERE, {}, b"early"))
        self.assertFalse(messenger.up)
        await listener.next()
        self.assertTrue(messenger.send(HERE, {}, b"in time"))
        self.assertEqual(await listener.next(), (HERE, None, b"in time"))
        await messenger.stopService()
        self.assertFalse(messenger.send(HERE, {}, b"late"))

    async def test_another_subscription(self):
        messenger, listener = await self.up()
        messenger.subscribe(THERE)
        messenger.send(THERE, {}, b"x")
        self.assertEqual(await listener.next(), (THERE, None, b"x"))

    async def test_an_error_in_the_listener_costs_no_connection(self):
        """It is logged, and the next message is heard."""
        messenger, listener = await self.up()
        for body in (b"bad", b"good"):
            messenger.send(HERE, {}, body)
        self.assertEqual(await listener.next(), (HERE, None, b"good"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_what_was_sent_before_the_end_arrives(self):
        """stopService waits for the broker to have taken it."""
        here, _ = await self.up()
        _, there = await self.up([THERE])
        for number in range(50):
            here.send(THERE, {}, b"%d" % number * 1000)
        await here.stopService()
        for number in range(50):
            self.assertEqual(await there.next(), (THERE, None, b"%d" % number * 1000))

    async def test_an_end_that_was_asked_for_is_no_news(self):
        """Nobody is told that the connection is down."""
        messenger, listener = await self.up()
        await messenger.stopService()
        self.assertFalse(messenger.up)
        self.assertEqual(listener.untold(), [])


class TestRedial(MessengerCase):
    async def test_after_the_broker_is_back(self):
        """It is told that the connection is lost, and comes up by itself when there is a broker again."""
        messenger, listener = await self.up()
        port = self.port.getHost().port
        await self.port.stopListening()
        await self.broker.close()
        self.assertEqual((await listener.next())[0], "down")
        self.assertFalse(messenger.up)
        self.assertIn("cannot be reached", (await listener.next())[1])
        self.setUp_again(port)
        while (await listener.next())[0] != "up":
            pass
        self.assertTrue(messenger.up)

    def setUp_again(self, port: int) -> None:
        self.broker = Broker(reactor)
        self.broker.allow("user", "pass", read=["/topic/#"])
        self.port = reactor.listenTCP(port, self.broker.factory, interface="127.0.0.1")

    async def test_the_broker_says_why(self):
        """What the broker has against it is told each time, and it goes on trying."""
        _, listener = self.messenger(passcode="wrong")
        for _ in range(2):
            self.assertEqual(await listener.next(), ("down", "the broker refused: the login or the passcode is wrong"))


class TestWaits(SynchronousTestCase):
    """How long it waits between two tries."""

    def setUp(self) -> None:
        self.clock, self.tries = Clock(), []
        listener = Listener()
        told = (listener.up, listener.message, listener.down)
        self.messenger = Messenger(self.clock, self, "user", "pass", "/", [], *told)

    def connect(self, factory):
        """An endpoint that cannot be reached."""
        self.tries.append(self.clock.seconds())
        return fail(ConnectionRefusedError())

    def test_short_at_first_then_longer_and_never_too_long(self):
        """Each wait is drawn between half and all of what doubles from try to try."""
        self.messenger.startService()
        self.clock.pump([0.001] * 60_000)
        waits = [later - earlier for earlier, later in zip(self.tries, self.tries[1:], strict=False)]
        for number, wait in enumerate(waits):
            longest = min(LONGEST_WAIT, FIRST_WAIT * 2**number)
            self.assertTrue(longest / 2 - 0.002 <= wait <= longest + 0.002, (number, wait))
        self.assertGreater(len(waits), 12)

    def test_none_after_the_end(self):
        self.messenger.startService()
        self.successResultOf(self.messenger.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_attempt_is_given_up_in_the_end(self):
        """Who is still dialling hangs up."""
        dialling: Deferred[None] = Deferred()
        self.connect = lambda factory: dialling
        self.messenger.startService()
        self.successResultOf(self.messenger.stopService())
        self.assertTrue(dialling.called)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Door(Protocol):
    """Gives each connection, and the octets that it has read too far, to a messenger."""

    def dataReceived(self, data: bytes) -> None:
        self.factory.messenger.adopt(self.transport, data.partition(b"\n")[2])


class Splice(Protocol):
    """The daemon's side: knocks, and hands the connection over to the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def connectionMade(self) -> None:
        self.transport.write(b"knock\n")
        connection = self._broker.factory.buildProtocol(None)
        self.transport.protocol = connection
        connection.makeConnection(self.transport)


class TestAdoption(MessengerCase):
    """A guest that is dialled: it speaks as a client on a connection that it has accepted."""

    def setUp(self) -> None:
        super().setUp()
        self.messenger, self.listener = super().messenger(endpoint=None)
        factory = Factory.forProtocol(Door)
        factory.messenger = self.messenger
        self.door = reactor.listenTCP(0, factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.door.stopListening(), super().tearDown()])

    async def splice(self) -> Splice:
        return await connectProtocol(self.endpoint(self.door), Splice(self.broker))

    async def test_it_speaks_on_the_connection_it_is_given(self):
        await self.splice()
        self.assertEqual(await self.listener.next(), ("up",))
        self.messenger.send(HERE, {}, b"x")
        self.assertEqual(await self.listener.next(), (HERE, None, b"x"))

    async def test_a_newer_connection_replaces_the_older(self):
        """After a pause the daemon dials again; what the older one still holds does no harm."""
        first = await self.splice()
        self.assertEqual(await self.listener.next(), ("up",))
        await self.splice()
        self.assertEqual(await self.listener.next(), ("down", "a newer connection took its place"))
        self.assertEqual(await self.listener.next(), ("up",))
        self.messenger.send(HERE, {}, b"x")
        self.assertEqual(await self.listener.next(), (HERE, None, b"x"))
        del first

    async def test_it_waits_for_the_next_when_one_is_lost(self):
        splice = await self.splice()
        await self.listener.next()
        splice.transport.abortConnection()
        self.assertEqual((await self.listener.next())[0], "down")
        self.assertFalse(self.messenger.up)
        await self.splice()
        self.assertEqual(await self.listener.next(), ("up",))


class Mute(Protocol):
    """A broker that lets everyone in and then reads nothing until it is told to."""

    def connectionMade(self) -> None:
        self.factory.made.callback(self)
        self.transport.write(b"CONNECTED\nversion:1.2\n\n\0")

    def dataReceived(self, data: bytes) -> None:
        self.transport.pauseProducing()

    def connectionLost(self, reason=connectionDone) -> None:
        self.factory.gone.callback(None)


class TestCongestion(MessengerCase):
    async def test_a_sender_can_see_that_the_broker_takes_nothing(self):
        """``congested`` becomes true, and on_drained tells when it is over."""
        factory = Factory.forProtocol(Mute)
        factory.made, factory.gone = Deferred(), Deferred()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        messenger, listener = await self.up(destinations=(), endpoint=self.endpoint(port))
        mute = await factory.made
        sent = 0
        while not messenger.congested:
            messenger.send(THERE, {}, b"x" * 65536)
            sent += 1
            self.assertLess(sent, 1000)
            await _turn()
        mute.dataReceived = lambda data: None
        mute.transport.resumeProducing()
        self.assertEqual(await listener.next(), ("drained",))
        self.assertFalse(messenger.congested)
        mute.transport.abortConnection()
        await factory.gone


def _turn() -> Deferred[None]:
    """One turn of the reactor."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)
    return turned
