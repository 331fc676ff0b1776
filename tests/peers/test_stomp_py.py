"""The broker as stomp.py sees it: a client that was written by others, in all three versions."""

from __future__ import annotations

import queue
import time

import stomp
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vmcontroller.broker import Broker, Limits
from vmcontroller.wire.session import HeartBeats

SECONDS = 10
CONNECTIONS = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}


class Listener(stomp.ConnectionListener):
    """Hands out, one by one, what stomp.py has heard."""

    def __init__(self) -> None:
        self._heard: queue.Queue = queue.Queue()
        self.lost = queue.Queue()

    def on_message(self, frame) -> None:
        self._heard.put(frame)

    on_receipt = on_error = on_message

    def on_disconnected(self) -> None:
        self.lost.put(True)

    def next(self):
        return self._heard.get(timeout=SECONDS)

    def receipt(self, name: str) -> None:
        frame = self.next()
        assert (frame.cmd, frame.headers.get("receipt-id")) == ("RECEIPT", name), frame


class StompPyCase(TestCase):
    """Each test talks in a thread, as stomp.py blocks, while the broker serves in the reactor's."""

    def setUp(self) -> None:
        self.broker = Broker(reactor, Limits(heart_beats=HeartBeats(0.3, 0.3)))
        self.broker.allow("user", "pass", read=["/topic/#", "/queue/#"], write=["/topic/#", "/queue/#"])
        self.broker.allow("guest", "pass", read=["/topic/own"], write=["/topic/own"])
        self.port = reactor.listenTCP(0, self.broker.factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.port.stopListening(), self.broker.close()])

    def connect(self, version: str = "1.2", login: str = "user", **more):
        """A connection, and what listens on it."""
        address = [("127.0.0.1", self.port.getHost().port)]
        connection = CONNECTIONS[version](address, reconnect_attempts_max=1, auto_decode=False, **more)
        listener = Listener()
        connection.set_listener("", listener)
        connection.connect(login, "pass", wait=True)
        return connection, listener


def in_thread(test):
    """Run a test in a thread of its own."""

    def run(self) -> Deferred:
        return deferToThread(test, self)

    run.__doc__, run.__name__ = test.__doc__, test.__name__
    return run


class TestStompPy(StompPyCase):
    @in_thread
    def test_topics_in_every_version(self):
        """A message goes through from each version to each version, with its headers."""
        for speaks in CONNECTIONS:
            for hears in CONNECTIONS:
                listening, listener = self.connect(hears)
                listening.subscribe("/topic/a", id="s", headers={"receipt": "s"})
                listener.receipt("s")
                speaking, _ = self.connect(speaks)
                speaking.send("/topic/a", "text", headers={"word": "X"})
                frame = listener.next()
                self.assertEqual(frame.body, b"text")
                self.assertEqual((frame.headers["subscription"], frame.headers["word"]), ("s", "X"))
                speaking.disconnect()
                listening.disconnect()

    @in_thread
    def test_binary_bodies(self):
        """Every octet arrives, NUL and line feeds too, be they one or a million."""
        connection, listener = self.connect()
        connection.subscribe("/topic/a", id="1")
        for body in (b"\0", b"\n\n\0\r\n", bytes(range(256)) * 4096):
            connection.send("/topic/a", body)
            self.assertEqual(listener.next().body, body)
        connection.disconnect()

    @in_thread
    def test_escapes(self):
        """stomp.py and the broker escape alike."""
        for version in ("1.1", "1.2"):
            connection, listener = self.connect(version)
            connection.subscribe("/topic/a", id="a:b")
            connection.send("/topic/a", "", headers={"path": "C:\\new\nline"})
            headers = listener.next().headers
            self.assertEqual((headers["path"], headers["subscription"]), ("C:\\new\nline", "a:b"))
            connection.disconnect()

    @in_thread
    def test_ack_modes(self):
        """What is not acknowledged comes again to the next who listens; what is does not."""
        speaking, _ = self.connect()
        for mode, left in (("auto", []), ("client", [b"3"]), ("client-individual", [b"1", b"3"])):
            name = f"/queue/{mode}"
            for body in "123":
                speaking.send(name, body)
            first, listener = self.connect()
            first.subscribe(name, id="1", ack=mode)
            taken = [listener.next() for _ in range(3)]
            if mode != "auto":
                first.ack(taken[1].headers["ack"], receipt="a")
                listener.receipt("a")
            first.disconnect(receipt="bye")
            self.assertTrue(listener.lost.get(timeout=SECONDS))
            second, listener = self.connect()
            speaking.send(name, "end")
            second.subscribe(name, id="1")
            self.assertEqual([listener.next().body for _ in range(len(left) + 1)], [*left, b"end"])
            second.disconnect()
        speaking.disconnect()

    @in_thread
    def test_nack(self):
        """What one refuses another gets."""
        first, refusing = self.connect("1.1")
        first.subscribe("/queue/a", id="1", ack="client-individual", headers={"receipt": "s"})
        refusing.receipt("s")
        first.send("/queue/a", "x")
        message = refusing.next()
        second, listener = self.connect()
        second.subscribe("/queue/a", id="1", headers={"receipt": "s"})
        listener.receipt("s")
        first.nack(message.headers["message-id"], "1")
        self.assertEqual(listener.next().body, b"x")
        first.disconnect()
        second.disconnect()

    @in_thread
    def test_receipts(self):
        """One for each frame that asks for one, in order."""
        connection, listener = self.connect()
        connection.subscribe("/topic/a", id="1", headers={"receipt": "r1"})
        listener.receipt("r1")
        connection.send("/topic/b", "x", headers={"receipt": "r2"})
        listener.receipt("r2")
        connection.unsubscribe("1", headers={"receipt": "r3"})
        listener.receipt("r3")
        connection.disconnect(receipt="r4")
        listener.receipt("r4")

    @in_thread
    def test_heart_beats(self):
        """Both sides beat three times a second, and neither takes the other for dead."""
        connection, listener = self.connect(heartbeats=(300, 300))
        time.sleep(1.5)
        self.assertTrue(listener.lost.empty())
        connection.subscribe("/topic/a", id="1")
        connection.send("/topic/a", "still here")
        self.assertEqual(listener.next().body, b"still here")
        connection.disconnect()

    @in_thread
    def test_transactions_are_refused(self):
        """With an ERROR that says so, not by doing something else."""
        connection, listener = self.connect()
        connection.begin("t")
        self.assertIn("this broker has none", listener.next().headers["message"])
        self.assertTrue(listener.lost.get(timeout=SECONDS))

    @in_thread
    def test_anothers_destination(self):
        """stomp.py shows the rule that was broken, and the connection is over."""
        connection, listener = self.connect(login="guest")
        connection.subscribe("/topic/#", id="1")
        frame = listener.next()
        self.assertEqual((frame.cmd, frame.body), ("ERROR", b"'guest' may not subscribe to '/topic/#'"))
        self.assertTrue(listener.lost.get(timeout=SECONDS))

    @in_thread
    def test_wrong_passcode(self):
        """stomp.py gives up."""
        connection = stomp.Connection12([("127.0.0.1", self.port.getHost().port)], reconnect_attempts_max=1)
        with self.assertRaises(stomp.exception.ConnectFailedException):
            connection.connect("user", "wrong", wait=True)
