"""The daemon dials a guest's door, proves, and splices; over real sockets, with the agent's side of the three lines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vmcontroller import door
from vmcontroller.door import Doors
from vmcontroller.machine import GuestAddress
from vmcontroller.wire.door import AgentSide, DoorRefused

SECRET = "s" * 64


class Agent(Protocol):
    """The guest's end of one connection."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.side = AgentSide(guest.secret)
        self.heard = b""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.guest.callers.append(self)
        self.guest.happened(f"connection {len(self.guest.callers)}")
        if len(self.guest.callers) > self.guest.mute:
            self.greet()

    def greet(self) -> None:
        """Say the first line."""
        self.transport.write(self.side.greeting())  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if self.side.proved:
            self.heard += data
            self.guest.happened("heard")
            return
        try:
            answer = self.side.feed(data)
        except DoorRefused:
            self.transport.abortConnection()  # type: ignore[union-attr]
            return
        self.transport.write(answer + self.guest.first_words)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class Guest(Factory):
    """A door that listens, and says nothing to its first callers. ``until(what)`` fires when it happens."""

    noisy = False

    def __init__(self, secret: str = SECRET, mute: int = 0) -> None:
        self.secret = secret
        self.mute = mute
        self.first_words = b""
        self.callers: list[Agent] = []
        self._waiting: dict[str, Deferred[None]] = {}

    def buildProtocol(self, addr: Any) -> Agent:
        return Agent(self)

    def until(self, what: str) -> Deferred[None]:
        return self._waiting.setdefault(what, Deferred())

    def happened(self, what: str) -> None:
        waiting = self._waiting.pop(what, None)
        if waiting is not None:
            waiting.callback(None)


class BrokerSide(Protocol):
    """What the broker does with a connection: greet, and remember what it hears."""

    def __init__(self, tests: DoorTests) -> None:
        self.tests = tests
        self.heard = b""

    def connectionMade(self) -> None:
        self.transport.write(b"from the broker")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.tests.broker_heard.callback(self.heard)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.tests.broker_lost.called:
            self.tests.broker_lost.callback(None)


class DoorTests(TestCase):
    """Whoever is not proved gets nothing; a connection that is lost is made anew until it is dropped."""

    timeout = 20

    def setUp(self) -> None:
        self.broker_heard: Deferred[bytes] = Deferred()
        self.broker_lost: Deferred[None] = Deferred()
        self.opened: list[BrokerSide] = []
        self.address: Callable[[str], Any] = self._address
        self.doors = Doors(reactor, lambda vm: SECRET, self._ask, self._open)

    def listen(self, guest: Guest) -> Guest:
        """Open the guest's door, for as long as the test takes."""
        self.guest = guest
        self.port = reactor.listenTCP(0, guest, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(self._close)
        return guest

    def _close(self) -> Any:
        self.doors.drop("vm")
        return DeferredList([self.port.stopListening(), *(caller.lost for caller in self.guest.callers)])

    async def _ask(self, vm: str) -> Any:
        return await self.address(vm)

    async def _address(self, vm: str) -> GuestAddress:
        return GuestAddress("127.0.0.1", self.port.getHost().port, 0)

    def _open(self) -> BrokerSide:
        self.opened.append(BrokerSide(self))
        return self.opened[-1]

    async def test_proved(self) -> None:
        """Both have proved: what the agent says goes to the broker and back, its first words too."""
        guest = self.listen(Guest())
        guest.first_words = b"CONNECT"
        heard = guest.until("heard")
        self.doors.dial("vm")
        self.assertEqual(await self.broker_heard, b"CONNECT")
        await heard
        self.assertEqual(guest.callers[0].heard, b"from the broker")

    async def test_wrong_secret(self) -> None:
        """A daemon with another secret is refused, and nothing reaches the broker; it tries again."""
        guest = self.listen(Guest("another"))
        again = guest.until("connection 2")
        self.doors.dial("vm")
        await again
        self.assertEqual(self.opened, [])

    async def test_no_door(self) -> None:
        """Something else that answers there is hung up on."""
        guest = self.listen(Guest(mute=1000))
        connected = guest.until("connection 1")
        self.doors.dial("vm")
        await connected
        guest.callers[0].transport.write(b"220 mail server\r\n")  # type: ignore[union-attr]
        await guest.callers[0].lost
        self.assertEqual(self.opened, [])

    async def test_silent(self) -> None:
        """A door that says nothing is left after a while, and tried again."""
        self.patch(door, "HANDSHAKE_TIMEOUT", 0.05)
        guest = self.listen(Guest(mute=1000))
        again = guest.until("connection 2")
        self.doors.dial("vm")
        await again
        self.assertEqual(self.opened, [])

    async def test_one_hangs(self) -> None:
        """A connection that leads nowhere holds up no other, and is hung up when another is proved."""
        guest = self.listen(Guest(mute=1))
        heard = guest.until("heard")
        self.doors.dial("vm")
        await heard
        await guest.callers[0].lost
        self.assertEqual(len(self.opened), 1)

    async def test_few_side_by_side(self) -> None:
        """Few connections are open at a time; the first stays, and may still be the one."""
        guest = self.listen(Guest(mute=1000))
        many = guest.until(f"connection {3 * door.TRIES}")
        self.doors.dial("vm")
        await many
        await DeferredList([caller.lost for caller in guest.callers[1 : -door.TRIES]])
        heard = guest.until("heard")
        guest.callers[0].greet()
        await heard
        await DeferredList([caller.lost for caller in guest.callers[1:]])
        self.assertEqual(guest.callers[0].heard, b"from the broker")

    async def test_two_speak(self) -> None:
        """Only one is answered: a guest never thinks that it has joined twice."""
        guest = self.listen(Guest(mute=1000))
        two, heard = guest.until("connection 2"), guest.until("heard")
        self.doors.dial("vm")
        await two
        for caller in guest.callers:
            caller.greet()
        await heard
        self.assertEqual([caller.side.proved for caller in guest.callers].count(True), 1)
        self.assertEqual(len(self.opened), 1)

    async def test_redial(self) -> None:
        """A connection that is lost is made anew, and the broker hears of the loss."""
        guest = self.listen(Guest())
        heard, again = guest.until("heard"), guest.until("connection 2")
        self.doors.dial("vm")
        await heard
        guest.callers[0].transport.abortConnection()  # type: ignore[union-attr]
        await self.broker_lost
        await again

    async def test_drop(self) -> None:
        """The connection ends, and no other is made."""
        guest = self.listen(Guest())
        heard = guest.until("heard")
        self.doors.dial("vm")
        await heard
        self.doors.drop("vm")
        await guest.callers[0].lost
        await self.broker_lost
        self.assertEqual(len(guest.callers), 1)

    async def test_dial_twice(self) -> None:
        """One connection will do."""
        guest = self.listen(Guest())
        heard = guest.until("heard")
        self.doors.dial("vm")
        self.doors.dial("vm")
        await heard
        self.assertEqual(len(guest.callers), 1)

    async def test_dial_ends_the_wait(self) -> None:
        """Who waits for his next try need not, when the machine is known to run."""
        guest = self.listen(Guest())
        asked: list[str] = []

        async def nowhere(vm: str) -> None:
            asked.append(vm)

        self.address = nowhere
        self.patch(door, "FIRST_WAIT", 3600.0)
        self.doors.dial("vm")
        self.assertEqual(asked, ["vm"])
        self.address = self._address
        heard = guest.until("heard")
        self.doors.dial("vm")
        await heard

    def test_drop_while_it_asks_where(self) -> None:
        """A hypervisor that answers late, or never, is not waited for."""
        where: Deferred[GuestAddress] = Deferred()

        async def late(vm: str) -> GuestAddress:
            return await where

        self.address = late
        self.doors.dial("vm")
        self.doors.drop("vm")
        self.assertTrue(where.called)
        self.flushLoggedErrors()

    async def test_drop_while_it_waits(self) -> None:
        """Nothing is left to happen."""

        async def nowhere(vm: str) -> None:
            return None

        self.address = nowhere
        self.doors.dial("vm")
        self.doors.drop("vm")

    async def test_hypervisor_fails(self) -> None:
        """It is asked again."""
        guest = self.listen(Guest())
        heard = guest.until("heard")
        times: list[int] = []

        async def first_fails(vm: str) -> GuestAddress:
            times.append(1)
            if len(times) == 1:
                raise RuntimeError("not now")
            return await self._address(vm)

        self.address = first_fails
        self.doors.dial("vm")
        await heard


class TestPatience(SynchronousTestCase):
    """How often a guest that boots is tried."""

    def test_met_soon(self) -> None:
        """It is met at most a twentieth of its boot after it is up, or 5 s, and few tries do that."""
        clock, tries = Clock(), list[float]()

        async def nowhere(vm: str) -> None:
            tries.append(clock.seconds())

        doors = Doors(clock, lambda vm: SECRET, nowhere, Protocol)
        doors.dial("vm")
        clock.pump([0.01] * 12000)
        doors.drop("vm")
        waits = [(later, later - earlier) for earlier, later in pairwise(tries)]
        for booted, wait in waits:
            self.assertLessEqual(wait, min(0.05 * booted + 0.1, 5.02))
        self.assertLess(len(tries), 110)
