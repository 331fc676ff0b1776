"""What a client that keeps the rules gets from the broker: topics, queues, acknowledgements, receipts."""

from __future__ import annotations

from tests.vmcontroller.broker.peer import BrokerCase
from vmcontroller.broker import Limits
from vmcontroller.wire.stomp import Version


class TestConnect(BrokerCase):
    """CONNECT and CONNECTED."""

    async def test_highest_common_version(self):
        """The broker speaks the highest version that the client accepts."""
        for accepted, agreed in (("1.0", "1.0"), ("1.0,1.1", "1.1"), ("1.1,1.2", "1.2"), ("1.2,2.0", "1.2")):
            peer = await self.dial()
            peer.say(f"CONNECT\naccept-version:{accepted}\nlogin:user\npasscode:pass\n\n")
            self.assertEqual((await peer.frame()).headers["version"], agreed)

    async def test_a_client_of_1_0_says_no_version(self):
        """Who does not say what he speaks speaks 1.0."""
        peer = await self.dial()
        peer.say("CONNECT\nlogin:user\npasscode:pass\n\n")
        self.assertEqual((await peer.frame()).headers["version"], "1.0")

    async def test_what_connected_says(self):
        """CONNECTED names the session and the server, and offers heart-beats; STOMP is as good as CONNECT."""
        peer = await self.dial()
        peer.say("STOMP\naccept-version:1.2\nhost:h\nlogin:user\npasscode:pass\n\n")
        headers = (await peer.frame()).headers
        self.assertEqual(headers["server"], "vmcontroller")
        self.assertEqual(headers["heart-beat"], "1000,10000")
        self.assertTrue(headers["session"])

    async def test_frames_may_follow_connect_at_once(self):
        """What comes in one piece with CONNECT is read by the version that CONNECT asked for."""
        peer = await self.dial()
        peer.say(
            "CONNECT\naccept-version:1.2\nlogin:user\npasscode:pass\n\n\0"
            "SUBSCRIBE\nid:\\c\ndestination:/topic/a\n\n\0"
            "SEND\ndestination:/topic/a\n\nhello"
        )
        self.assertEqual((await peer.frame()).cmd, "CONNECTED")
        self.assertEqual((await peer.frame()).headers["subscription"], ":")

    async def test_disconnect(self):
        """The receipt comes, then the broker hangs up."""
        peer = await self.login()
        self.assertEqual((await peer.ask("DISCONNECT\nreceipt:bye\n\n")).headers, {"receipt-id": "bye"})
        await peer.end()


class TestTopics(BrokerCase):
    """Everyone who listens gets everything."""

    async def test_all_subscribers_get_it(self):
        """Each of them gets every message, in order; others get none."""
        first, second, other = [await self.login() for _ in range(3)]
        await first.subscribe("/topic/a")
        await second.subscribe("/topic/a")
        await other.subscribe("/topic/b")
        for body in "123":
            await other.send("/topic/a", body)
        self.assertEqual(await first.bodies(3), ["1", "2", "3"])
        self.assertEqual(await second.bodies(3), ["1", "2", "3"])
        await other.is_undisturbed()

    async def test_what_a_message_says(self):
        """All headers of SEND but those for the broker, whose own cannot be forged; the body octet by octet."""
        listener, speaker = await self.login(), await self.login()
        await listener.subscribe("/topic/a", id="s 1")
        speaker.say(
            b"SEND\ndestination:/topic/a\nword:X\nname:\\c\\n\nsubscription:forged\nmessage-id:forged\nack:forged\n"
            b"receipt:r\ncontent-type:t\ncontent-length:4\n\n\0\n\xff\0"
        )
        message = await listener.frame()
        self.assertTrue(message.headers.pop("message-id").partition("-")[2].isdigit())
        expected = {"destination": "/topic/a", "subscription": "s 1", "content-length": "4", "content-type": "t"}
        self.assertEqual(message.headers, expected | {"word": "X", "name": ":\n"})
        self.assertEqual(message.body, b"\0\n\xff\0")

    async def test_each_in_its_own_version(self):
        """One message, said to clients of all versions, escaped for each as its version wants."""
        listeners = [await self.login(version=version) for version in Version]
        for listener in listeners:
            await listener.subscribe("/topic/a")
        speaker = await self.login()
        await speaker.ask("SEND\ndestination:/topic/a\nx:\\c\\r\\n\nreceipt:r\n\n")
        found = [(await listener.frame()).headers["x"] for listener in listeners]
        self.assertEqual(found, [":\r\\n", ":\r\n", ":\r\n"])

    async def test_wildcards(self):
        """``*`` is one component, ``#`` and ``>`` are any number."""
        peer = await self.login()
        for number, pattern in enumerate(("/topic/a.*.c", "/topic/a.#", "/topic/a.>", "/topic/*")):
            await peer.subscribe(pattern, id=str(number))
        reached = {}
        for destination in ("/topic/a.b.c", "/topic/a.b", "/topic/a"):
            peer.say(f"SEND\ndestination:{destination}\nreceipt:end\n\n")
            heard = [await peer.frame()]
            while heard[-1].cmd == "MESSAGE":
                heard.append(await peer.frame())
            reached[destination] = {frame.headers["subscription"] for frame in heard[:-1]}
        self.assertEqual(reached, {"/topic/a.b.c": {*"012"}, "/topic/a.b": {*"12"}, "/topic/a": {*"123"}})

    async def test_unsubscribe(self):
        """Afterwards nothing comes, and the id may be used again."""
        peer = await self.login()
        await peer.subscribe("/topic/a")
        await peer.ask("UNSUBSCRIBE\nid:1\nreceipt:u\n\n")
        await peer.send("/topic/a", "unheard")
        await peer.subscribe("/topic/a")
        await peer.is_undisturbed()

    async def test_1_0_subscribes_without_an_id(self):
        """Then its messages name no subscription, and it unsubscribes by the destination."""
        peer = await self.login(version="1.0")
        await peer.ask("SUBSCRIBE\ndestination:/topic/a\nreceipt:s\n\n")
        peer.say("SEND\ndestination:/topic/a\n\nx")
        self.assertNotIn("subscription", (await peer.frame()).headers)
        await peer.ask("UNSUBSCRIBE\ndestination:/topic/a\nreceipt:u\n\n")
        await peer.send("/topic/a", "unheard")
        await peer.is_undisturbed()


class TestQueues(BrokerCase):
    """Each message goes to one who listens."""

    async def test_kept_until_somebody_listens(self):
        """Nothing that was sent before is lost, and it comes in order."""
        speaker = await self.login()
        for body in "123":
            await speaker.send("/queue/a", body)
        listener = await self.login()
        listener.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n")
        self.assertEqual(await listener.bodies(3), ["1", "2", "3"])

    async def test_shared_in_turn(self):
        """Two listeners get every second message each."""
        first, second, speaker = [await self.login() for _ in range(3)]
        await first.subscribe("/queue/a")
        await second.subscribe("/queue/a")
        for body in "1234":
            await speaker.send("/queue/a", body)
        self.assertEqual(await first.bodies(2), ["1", "3"])
        self.assertEqual(await second.bodies(2), ["2", "4"])

    async def test_wildcards(self):
        """A pattern listens to queues that are there and to those that begin later."""
        speaker, listener = await self.login(), await self.login()
        await speaker.send("/queue/a.1", "1")
        listener.say("SUBSCRIBE\nid:1\ndestination:/queue/a.*\n\n")
        self.assertEqual(await listener.bodies(1), ["1"])
        await speaker.send("/queue/a.2", "2")
        await speaker.send("/queue/b.3", "3")
        await speaker.send("/queue/a.1", "4")
        self.assertEqual(await listener.bodies(2), ["2", "4"])

    async def test_unacknowledged_goes_to_another(self):
        """What a listener took and did not acknowledge comes again, in order, when he is gone."""
        first, second, speaker = [await self.login() for _ in range(3)]
        await first.subscribe("/queue/a", ack="client-individual")
        for body in "123":
            await speaker.send("/queue/a", body)
        taken = [await first.frame() for _ in range(3)]
        await first.ask(f"ACK\nid:{taken[1].headers['ack']}\nreceipt:a\n\n")
        second.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n")
        first.transport.abortConnection()
        self.assertEqual(await second.bodies(2), ["1", "3"])

    async def test_unsubscribing_gives_back(self):
        """The same when he only unsubscribes; the bodies arrive under the new subscription."""
        peer = await self.login()
        await peer.subscribe("/queue/a", ack="client")
        peer.say("SEND\ndestination:/queue/a\n\nx")
        self.assertEqual(await peer.bodies(1), ["x"])
        await peer.ask("UNSUBSCRIBE\nid:1\nreceipt:u\n\n")
        peer.say("SUBSCRIBE\nid:2\ndestination:/queue/a\n\n")
        self.assertEqual((await peer.frame()).headers["subscription"], "2")


class TestAcknowledgement(BrokerCase):
    """ack:auto, client and client-individual, in each version's way."""

    async def _taken(self, version: str, ack: str):
        peer = await self.login(version=version)
        await peer.subscribe("/queue/a", ack=ack)
        for body in "123":
            peer.say(f"SEND\ndestination:/queue/a\n\n{body}")
        return peer, [await peer.frame() for _ in range(3)]

    async def _left(self, peer) -> list[str]:
        """What comes again when the listener is gone."""
        heir = await self.login()
        peer.transport.abortConnection()
        await peer.end()
        await heir.send("/queue/a", "end")
        heir.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n")
        bodies: list[str] = []
        while "end" not in bodies:
            bodies += await heir.bodies(1)
        return bodies[:-1]

    async def test_client_means_all_up_to_it(self):
        peer, taken = await self._taken("1.2", "client")
        await peer.ask(f"ACK\nid:{taken[1].headers['ack']}\nreceipt:a\n\n")
        self.assertEqual(await self._left(peer), ["3"])

    async def test_client_individual_means_only_it(self):
        peer, taken = await self._taken("1.2", "client-individual")
        await peer.ask(f"ACK\nid:{taken[1].headers['ack']}\nreceipt:a\n\n")
        self.assertEqual(await self._left(peer), ["1", "3"])

    async def test_1_1_names_subscription_and_message(self):
        peer, taken = await self._taken("1.1", "client-individual")
        self.assertNotIn("ack", taken[0].headers)
        await peer.ask(f"ACK\nsubscription:1\nmessage-id:{taken[0].headers['message-id']}\nreceipt:a\n\n")
        self.assertEqual(await self._left(peer), ["2", "3"])

    async def test_1_0_names_the_message(self):
        peer, taken = await self._taken("1.0", "client")
        await peer.ask(f"ACK\nmessage-id:{taken[1].headers['message-id']}\nreceipt:a\n\n")
        self.assertEqual(await self._left(peer), ["3"])

    async def test_an_ack_that_nobody_asked_for_is_ignored(self):
        """Old clients acknowledge in ack:auto too; nothing comes again."""
        peer, taken = await self._taken("1.1", "auto")
        await peer.ask(f"ACK\nsubscription:1\nmessage-id:{taken[0].headers['message-id']}\nreceipt:a\n\n")
        self.assertEqual(await self._left(peer), [])

    async def test_nack_passes_it_on(self):
        """A message that one listener refuses goes to another; when all have refused it it is dropped."""
        first, second = await self.login(), await self.login()
        await first.subscribe("/queue/a", ack="client-individual")
        await second.subscribe("/queue/a", ack="client-individual")
        first.say("SEND\ndestination:/queue/a\n\nunwanted")
        for peer in (first, second):
            message = await peer.frame()
            self.assertEqual(message.body, b"unwanted")
            peer.say(f"NACK\nid:{message.headers['ack']}\n\n")
        await first.is_undisturbed()
        await second.is_undisturbed()

    async def test_topics_can_be_acknowledged_too(self):
        """It changes nothing, and it is no error."""
        peer = await self.login()
        await peer.subscribe("/topic/a", ack="client")
        for command in ("ACK", "NACK"):
            peer.say("SEND\ndestination:/topic/a\n\nx")
            ack = (await peer.frame()).headers["ack"]
            self.assertEqual((await peer.ask(f"{command}\nid:{ack}\nreceipt:a\n\n")).cmd, "RECEIPT")


class TestOneAtATime(BrokerCase):
    """A listener who may hold one unacknowledged message."""

    limits = Limits(unacknowledged=1)

    async def test_a_queue_waits_for_the_ack(self):
        """The next message of a queue comes when the one before is acknowledged."""
        peer = await self.login()
        await peer.subscribe("/queue/a", ack="client")
        peer.say("SEND\ndestination:/queue/a\n\n1")
        message = await peer.frame()
        await peer.send("/queue/a", "2")
        peer.say(f"ACK\nid:{message.headers['ack']}\n\n")
        self.assertEqual(await peer.bodies(1), ["2"])
