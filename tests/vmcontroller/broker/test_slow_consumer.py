"""A consumer that does not read is slowed or cut off, and costs the others nothing."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.vmcontroller.broker.peer import BrokerCase
from vmcontroller.broker import Limits

CHUNK = "x" * 50_000


class TestSlowConsumer(BrokerCase):
    """One that reads nothing, one that reads, and one that sends to both."""

    limits = Limits(backlog_octets=1_000_000, hold=200_000, stall_time=0.6, linger=0.2)

    def setUp(self) -> None:
        super().setUp()
        self.broker.allow("daemon", "pass", read=["/topic/#"], write=["/topic/#"], flow_control=False)

    async def sleeper(self, destination: str = "/topic/a"):
        """A client that has subscribed and reads no more."""
        peer = await self.login()
        await peer.subscribe(destination)
        peer.transport.pauseProducing()
        peer.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        return peer

    async def test_cut_off_when_too_much_waits(self):
        """Who must not be held up is not: the sleeper goes, the other has it all."""
        sleeper, reader, speaker = await self.sleeper(), await self.login(), await self.login("daemon")
        await reader.subscribe("/topic/a")
        for _ in range(200):
            await speaker.send("/topic/a", CHUNK)
        self.assertEqual(await reader.bodies(200), [CHUNK] * 200)
        sleeper.transport.resumeProducing()
        await sleeper.end()

    async def test_it_is_told_why(self):
        """Once it reads again, what was on its way is followed by an ERROR."""
        sleeper, speaker = await self.sleeper(), await self.login("daemon")
        for _ in range(200):
            await speaker.send("/topic/a", CHUNK)
        sleeper.transport.resumeProducing()
        while (frame := await sleeper.frame()).cmd == "MESSAGE":
            pass
        self.assertIn("does not read what it is sent: more than 1000000 octets", frame.headers["message"])

    async def test_senders_are_slowed_to_its_pace(self):
        """A consumer that is only slow loses nothing, and the broker holds no more than the bound for it."""
        consumer, speaker = await self.sleeper(), await self.login()
        for _ in range(300):
            speaker.say(f"SEND\ndestination:/topic/a\n\n{CHUNK}")
        await deferLater(reactor, 0.2)  # meanwhile all buffers fill up, and the sender is held
        consumer.transport.resumeProducing()
        self.assertEqual(await consumer.bodies(300), [CHUNK] * 300)
        await speaker.is_undisturbed()

    async def test_who_takes_nothing_is_cut_off_in_the_end(self):
        """Those who were held go on then."""
        sleeper, speaker = await self.sleeper(), await self.login()
        for _ in range(200):
            speaker.say(f"SEND\ndestination:/topic/a\n\n{CHUNK}")
        await speaker.is_undisturbed()
        sleeper.transport.resumeProducing()
        await sleeper.end()

    async def test_other_senders_are_not_slowed(self):
        """Only who sends to the sleeper waits for it."""
        await self.sleeper()
        held, speaker, reader = await self.login(), await self.login(), await self.login()
        await reader.subscribe("/topic/b")
        for _ in range(200):
            held.say(f"SEND\ndestination:/topic/a\n\n{CHUNK}")
        for _ in range(50):
            await speaker.send("/topic/b", CHUNK)
        self.assertEqual(await reader.bodies(50), [CHUNK] * 50)

    async def test_a_queue_gives_to_those_who_read(self):
        """What a sleeper cannot take goes to another, and nothing is cut for it."""
        await self.sleeper("/queue/a")
        reader, speaker = await self.login(), await self.login()
        await reader.subscribe("/queue/a")
        for _ in range(400):
            await speaker.send("/queue/a", CHUNK)
        self.assertEqual(await reader.bodies(250), [CHUNK] * 250)
        await deferLater(reactor, 0.8)
        await speaker.is_undisturbed()
