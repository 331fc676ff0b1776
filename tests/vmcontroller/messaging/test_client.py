"""One connection, against a broker that says exactly what the test says, by a clock that only the test moves."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from vmcontroller.messaging.client import BEATS, FAREWELL, PATIENCE, Account, StompClient
from vmcontroller.wire.stomp import Frame, Parser, Version


class Transport(StringTransport):
    """Notes when it is cut."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def client_up(self, client):
        self.told.append(("up",))

    def client_heard(self, client, destination, headers, body):
        self.told.append(("heard", destination, body))

    def client_drained(self, client):
        self.told.append(("drained",))

    def client_down(self, client, reason):
        self.told.append(("down", reason))


class Conversation:
    """A client, and what a broker says to it."""

    def __init__(self, destinations=("/topic/a", "/topic/b")) -> None:
        self.clock, self.owner, self.transport = Clock(), Owner(), Transport()
        self.client = StompClient(self.clock, Account("vm1", "secret", "/v"), destinations, self.owner)
        self.client.makeConnection(self.transport)
        self._parser = Parser()

    def said(self) -> list[Frame]:
        """The frames that the client has said since the last time."""
        octets = self.transport.value()
        self.transport.clear()
        return list(self._parser.feed(octets))

    def hear(self, octets: bytes) -> None:
        self.client.dataReceived(octets)

    def connected(self, version: str = "1.2", heart_beat: str = "0,0") -> None:
        self._parser.version = Version(version)
        self.hear(f"CONNECTED\nversion:{version}\nheart-beat:{heart_beat}\n\n\0\n".encode())

    def up(self, **connected: str) -> None:
        """All the way."""
        self.connected(**connected)
        for frame in self.said():
            if "receipt" in frame.headers:
                self.hear(b"RECEIPT\nreceipt-id:%b\n\n\0\n" % frame.headers["receipt"].encode())
        assert self.owner.told == [("up",)]
        self.owner.told.clear()

    def lost(self) -> None:
        self.client.connectionLost(Failure(ConnectionDone()))

    def why(self) -> str:
        """The reason that the owner is told when the connection was cut."""
        assert self.transport.aborted
        self.lost()
        [(word, reason)] = self.owner.told
        assert word == "down"
        return reason


class TestComingUp:
    def test_connect(self):
        """It offers 1.1 and 1.2, and heart-beats."""
        [frame] = Conversation().said()
        expected = {"accept-version": "1.1,1.2", "host": "/v", "heart-beat": "10000,10000"}
        assert frame == Frame("CONNECT", expected | {"login": "vm1", "passcode": "secret"})

    def test_up_when_every_subscription_is_confirmed(self):
        talk = Conversation()
        talk.connected()
        _, *frames = talk.said()
        assert [(frame.cmd, frame.headers["destination"], frame.headers["ack"]) for frame in frames] == [
            ("SUBSCRIBE", "/topic/a", "auto"),
            ("SUBSCRIBE", "/topic/b", "auto"),
        ]
        talk.hear(b"RECEIPT\nreceipt-id:%b\n\n\0" % frames[0].headers["receipt"].encode())
        assert (talk.client.up, talk.owner.told) == (False, [])
        talk.hear(b"RECEIPT\nreceipt-id:%b\n\n\0" % frames[1].headers["receipt"].encode())
        assert (talk.client.up, talk.owner.told) == (True, [("up",)])

    def test_up_at_once_when_there_is_nothing_to_subscribe_to(self):
        talk = Conversation(destinations=())
        talk.connected()
        assert talk.owner.told == [("up",)]

    def test_a_broker_that_does_not_answer(self):
        talk = Conversation()
        talk.clock.advance(PATIENCE)
        assert talk.why() == "the broker did not let this client in within 10 s"

    def test_a_broker_that_does_not_confirm(self):
        talk = Conversation()
        talk.connected()
        talk.clock.advance(PATIENCE)
        assert talk.why() == "the broker did not let this client in within 10 s"

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"ERROR\nmessage:no\n\nyou are wrong\n\0", "the broker refused: you are wrong"),
            (b"ERROR\nmessage:no\n\n\0", "the broker refused: no"),
            (b"ERROR\n\n\0", "the broker refused: no reason given"),
            (b"HTTP/1.1 400 Bad\r\n\r\n", "the broker broke a rule of STOMP: 'HTTP/1.1 400 Bad' is no STOMP command"),
            (b"SEND\n\n\0", "the broker broke a rule of STOMP: SEND is for a client to say"),
            (b"CONNECTED\nversion:9\n\n\0", "the broker broke a rule of STOMP: STOMP '9' is not spoken here; 1"),
            (b"CONNECTED\nversion:1.2\nheart-beat:x\n\n\0", "the broker broke a rule of STOMP: heart-beat is 'x'"),
        ],
    )
    def test_a_broker_that_refuses_or_talks_nonsense(self, octets, reason):
        talk = Conversation()
        talk.hear(octets)
        assert talk.why().startswith(reason)


class TestTalking:
    @pytest.mark.parametrize("version", ["1.1", "1.2"])
    def test_send(self, version):
        """Escaped as the version wants, and always with content-length."""
        talk = Conversation()
        talk.up(version=version)
        talk.client.send("/topic/a", {"word": "X:\n"}, b"\0body")
        expected = {"destination": "/topic/a", "word": "X:\n", "content-length": "5"}
        assert talk.said() == [Frame("SEND", expected, b"\0body")]

    def test_message(self):
        talk = Conversation()
        talk.up()
        talk.hear(b"MESSAGE\ndestination:/topic/a\ncontent-length:3\n\n\0\n\0\0\n")
        assert talk.owner.told == [("heard", "/topic/a", b"\0\n\0")]

    def test_subscribe_while_up(self):
        talk = Conversation()
        talk.up()
        talk.client.subscribe("/topic/c")
        [frame] = talk.said()
        assert (frame.headers["destination"], frame.headers["id"]) == ("/topic/c", "3")
        talk.hear(b"RECEIPT\nreceipt-id:3\n\n\0")
        assert talk.owner.told == []

    def test_congestion(self):
        """The transport says when it is full, the client says when it is so no more."""
        talk = Conversation()
        talk.up()
        talk.transport.producer.pauseProducing()
        assert talk.client.congested
        talk.transport.producer.resumeProducing()
        assert not talk.client.congested
        assert talk.owner.told == [("drained",)]

    def test_an_error_ends_it(self):
        """Also with a broker that would keep the connection open."""
        talk = Conversation()
        talk.up()
        talk.hear(b"ERROR\nmessage:gone\n\n\0")
        assert not talk.client.up
        assert talk.why() == "the broker refused: gone"

    def test_loss(self):
        talk = Conversation()
        talk.up()
        talk.lost()
        assert talk.owner.told == [("down", "Connection was closed cleanly.")]
        assert talk.clock.getDelayedCalls() == []


class TestHeartBeats:
    def test_it_beats_as_often_as_the_broker_wants(self):
        talk = Conversation()
        talk.up(heart_beat="0,20000")
        talk.clock.pump([1] * 40)
        assert talk.transport.value() == b"\n" * 4

    def test_it_leaves_a_silent_broker(self):
        talk = Conversation()
        talk.up(heart_beat="1000,0")
        talk.clock.advance(2 * BEATS.wants - 1)
        assert not talk.transport.aborted
        talk.clock.advance(1)
        assert talk.why() == "the broker was silent for 20 s"

    def test_any_octet_is_a_sign_of_life(self):
        talk = Conversation()
        talk.up(heart_beat="1000,0")
        for _ in range(5):
            talk.clock.advance(2 * BEATS.wants - 1)
            talk.hear(b"\n")
        assert not talk.transport.aborted


class TestLeaving:
    def test_good_bye(self):
        """DISCONNECT, and the connection ends when the broker has confirmed it."""
        talk = Conversation()
        talk.up()
        talk.client.leave()
        [frame] = talk.said()
        assert frame == Frame("DISCONNECT", {"receipt": "bye"})
        assert not talk.transport.disconnecting
        talk.hear(b"RECEIPT\nreceipt-id:bye\n\n\0")
        assert talk.transport.disconnecting
        talk.lost()
        assert talk.owner.told == [("down", "this side hung up")]
        assert talk.clock.getDelayedCalls() == []

    def test_a_broker_that_does_not_answer_is_not_waited_for(self):
        talk = Conversation()
        talk.up()
        talk.client.leave()
        talk.clock.advance(FAREWELL)
        assert talk.why() == "this side hung up"

    def test_before_it_is_up(self):
        talk = Conversation()
        talk.client.leave()
        assert talk.why() == "this side hung up"
