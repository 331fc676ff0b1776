"""Whoever breaks a rule hears which one and is hung up on; everyone else notices nothing."""

from __future__ import annotations

from tests.vmcontroller.broker.peer import BrokerCase
from vmcontroller.broker import Limits
from vmcontroller.wire.stomp import FrameLimits

CONNECT = b"CONNECT\naccept-version:1.2\nlogin:user\npasscode:pass\n\n\0"
HTTP = b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd"
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2

#: What is said as the first thing, and what the ERROR says of it.
BEFORE_CONNECT = {
    "garbage": (HTTP, "is no STOMP command"),
    "TLS": (TLS, "NUL came before the blank line"),
    "an endless line": (b"x" * 10_000, "a line is longer than 8192 octets"),
    "no CONNECT": (b"SEND\ndestination:/topic/a\n\nx\0", "the first frame must be CONNECT, and is SEND"),
    "no version in common": (b"CONNECT\naccept-version:3.0\n\n\0", "'3.0' is not spoken here; 1.0, 1.1, 1.2 are"),
    "bad heart-beat": (b"CONNECT\nheart-beat:often\n\n\0", "two numbers of milliseconds"),
    "no login": (b"CONNECT\naccept-version:1.2\n\n\0", "the login or the passcode is wrong"),
    "wrong passcode": (b"CONNECT\nlogin:user\npasscode:x\n\n\0", "the login or the passcode is wrong"),
    "wrong login": (b"CONNECT\nlogin:x\npasscode:pass\n\n\0", "the login or the passcode is wrong"),
    "a body": (b"CONNECT\nlogin:user\n\nx\0", "CONNECT has a body"),
}

#: What is said after CONNECT, and what the ERROR says of it.
AFTER_CONNECT = {
    "CONNECT again": (CONNECT, "CONNECT cannot be said here"),
    "a command for brokers": (b"MESSAGE\n\n\0", "MESSAGE cannot be said here"),
    "no colon": (b"SEND\ndestination\n\n\0", "'destination' has no colon"),
    "wrong escape": (b"SEND\ndestination:/topic/\\t\n\n\0", "\\t is no escape in STOMP 1.2"),
    "not UTF-8": (b"SEND\ndestination:/topic/\xff\n\n\0", "not UTF-8"),
    "100 MB": (b"SEND\ndestination:/topic/a\ncontent-length:104857600\n\n", "longer than 16777216 octets"),
    "a wrong length": (b"SEND\ndestination:/topic/a\ncontent-length:1\n\nxx\0", "no NUL follows"),
    "too many headers": (b"SEND\n" + b"".join(b"h%d:x\n" % n for n in range(65)) + b"\n\0", "more than 64 headers"),
    "no destination": (b"SEND\n\nx\0", "SEND lacks the header 'destination'"),
    "no such kind": (b"SEND\ndestination:/exchange/a\n\nx\0", "'/exchange/a' is no destination"),
    "an empty component": (b"SEND\ndestination:/topic/a..b\n\nx\0", "is no destination"),
    "a long destination": (b"SEND\ndestination:/topic/%b\n\nx\0" % (b"x" * 250), "longer than 255 characters"),
    "SEND to a pattern": (b"SEND\ndestination:/topic/a.*\n\nx\0", "is a pattern; a message goes to one destination"),
    "SEND to many queues": (b"SEND\ndestination:/queue/#\n\nx\0", "is a pattern; a message goes to one destination"),
    "SUBSCRIBE without id": (b"SUBSCRIBE\ndestination:/topic/a\n\n\0", "SUBSCRIBE lacks the header 'id'"),
    "wrong ack mode": (b"SUBSCRIBE\nid:2\ndestination:/topic/a\nack:x\n\n\0", "ack is 'x'; it must be one of auto, cl"),
    "id used twice": (b"SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\0" * 2, "there is a subscription '1' already"),
    "UNSUBSCRIBE from nothing": (b"UNSUBSCRIBE\nid:7\n\n\0", "there is no subscription '7'"),
    "ACK of nothing": (b"ACK\nid:1.7\n\n\0", "there is no subscription '7'"),
    "ACK without id": (b"ACK\n\n\0", "ACK lacks the header 'id'"),
    "BEGIN": (b"BEGIN\ntransaction:t\n\n\0", "this broker has none"),
    "COMMIT": (b"COMMIT\ntransaction:t\n\n\0", "this broker has none"),
    "SEND in a transaction": (b"SEND\ndestination:/topic/a\ntransaction:t\n\n\0", "this broker has none"),
}


class TestBadInput(BrokerCase):
    """Each row of the tables, beside a client that keeps the rules."""

    async def _refused(self, octets: bytes, *, connected: bool):
        peer = await (self.login() if connected else self.dial())
        peer.transport.write(octets)
        error = await peer.frame()
        await peer.end()
        self.assertEqual(error.cmd, "ERROR", error)
        return error

    async def _refuse_all(self, table, connected: bool):
        good = await self.login()
        await good.subscribe("/topic/good")
        for name, (octets, rule) in table.items():
            error = await self._refused(octets, connected=connected)
            self.assertIn(rule, error.headers["message"], name)
            self.assertEqual(error.headers["message"], error.body.decode(), name)
        await good.is_undisturbed()

    async def test_before_connect(self):
        """Nobody gets in by breaking rules."""
        await self._refuse_all(BEFORE_CONNECT, connected=False)

    async def test_after_connect(self):
        """Being let in is no licence."""
        await self._refuse_all(AFTER_CONNECT, connected=True)

    async def test_half_a_frame_and_the_end(self):
        """A client that stops in the middle of a frame is told so."""
        peer = await self.login()
        peer.transport.write(b"SEND\ndestination:/topic/a\n")
        peer.transport.loseWriteConnection()
        self.assertIn("ended in the middle of a frame", (await peer.frame()).headers["message"])
        await peer.end()

    async def test_the_last_words_get_through(self):
        """Who is still sending 8 MB that nobody wants can read the ERROR all the same."""
        peer = await self.login()
        peer.transport.write(b"nonsense\n\n" + b"x" * 8_000_000)
        self.assertIn("no STOMP command", (await peer.frame()).headers["message"])
        await peer.end()

    async def test_an_error_names_the_receipt(self):
        """So that the client knows which of its frames was refused; no RECEIPT comes for it."""
        error = await self._refused(b"SEND\nreceipt:17\n\nx\0", connected=True)
        self.assertEqual(error.headers["receipt-id"], "17")

    async def test_what_follows_a_refused_frame_is_not_done(self):
        """Neither in the same piece nor later."""
        listener = await self.login()
        await listener.subscribe("/topic/a")
        await self._refused(b"nonsense\n\n\0SEND\ndestination:/topic/a\n\nx\0", connected=True)
        await listener.is_undisturbed()

    async def test_nothing_tells_a_login_from_a_passcode(self):
        """A stranger does not learn which logins there are."""
        known = await self._refused(BEFORE_CONNECT["wrong passcode"][0], connected=False)
        unknown = await self._refused(BEFORE_CONNECT["wrong login"][0], connected=False)
        self.assertEqual(known, unknown)


class TestTime(BrokerCase):
    """A client that says nothing, or stops in the middle, is not waited for."""

    limits = Limits(connect_time=0.3, frame_time=0.1)

    async def test_no_connect(self):
        peer = await self.dial()
        self.assertIn("no CONNECT came within 0.3 s", (await peer.frame()).headers["message"])
        await peer.end()

    async def test_half_a_frame(self):
        peer = await self.login()
        peer.transport.write(b"SEND\ndestination:/topic/a\ncontent-length:100\n\nhalf")
        self.assertIn("half a frame, then nothing for 0.1 s", (await peer.frame()).headers["message"])
        await peer.end()

    async def test_who_has_connected_may_be_silent(self):
        """Where no heart-beats were agreed silence between frames is no fault."""
        peer, clock = await self.login(), await self.dial()
        await clock.frame()  # its connect_time is over by now
        await peer.is_undisturbed()


class TestBounds(BrokerCase):
    """How much a client may have."""

    limits = Limits(
        FrameLimits(body=100), subscriptions=2, unacknowledged=2, queues=2, queue_messages=2, queue_octets=20
    )

    async def _refused(self, *texts: str) -> str:
        peer = await self.login()
        for text in texts:
            peer.say(text)
        while (frame := await peer.frame()).cmd != "ERROR":
            pass
        await peer.end()
        return frame.headers["message"]

    async def test_subscriptions(self):
        rule = await self._refused(*(f"SUBSCRIBE\nid:{n}\ndestination:/topic/{n}\n\n" for n in range(3)))
        self.assertEqual(rule, "there are 2 subscriptions already, and may be no more")

    async def test_messages_in_a_queue(self):
        rule = await self._refused(*["SEND\ndestination:/queue/a\n\n1"] * 3)
        self.assertEqual(rule, "/queue/a is full: 2 messages, 2 octets")

    async def test_octets_in_a_queue(self):
        rule = await self._refused(*["SEND\ndestination:/queue/a\n\n12345678901"] * 2)
        self.assertEqual(rule, "/queue/a is full: 1 messages, 11 octets")

    async def test_queues(self):
        rule = await self._refused(*(f"SEND\ndestination:/queue/{n}\n\nx" for n in range(3)))
        self.assertEqual(rule, "2 queues hold messages, and there may be no more")

    async def test_empty_queues_do_not_count(self):
        """A queue is there as long as something is in it."""
        peer = await self.login()
        peer.say("SUBSCRIBE\nid:1\ndestination:/queue/#\n\n")
        for number in range(5):
            peer.say(f"SEND\ndestination:/queue/{number}\n\n{number}")
        self.assertEqual(await peer.bodies(5), [*"01234"])

    async def test_unacknowledged_on_a_topic(self):
        """A topic cannot wait for who does not acknowledge."""
        rule = await self._refused(
            "SUBSCRIBE\nid:1\ndestination:/topic/a\nack:client\n\n", *["SEND\ndestination:/topic/a\n\nx"] * 3
        )
        self.assertIn("more than 2 messages are not acknowledged", rule)
