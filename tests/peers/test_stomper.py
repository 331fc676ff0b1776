"""The broker as stomper sees it: the client library of 2009, with its builders and its buffer."""

from __future__ import annotations

import socket

import stomper
from stomper import stomp_10, stompbuffer
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vmcontroller.broker import Broker


class OldClient:
    """A blocking client of nothing but stomper."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._buffer = stompbuffer.StompBuffer()

    def say(self, frame: str) -> None:
        self._socket.sendall(frame.encode())

    def hear(self) -> dict:
        while (message := self._buffer.getOneMessage()) is None:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the broker hung up")
            self._buffer.appendData(data.decode())
        return message

    def close(self) -> None:
        self._socket.close()


class TestStomper(TestCase):
    """What was written for 2009's broker runs with this one."""

    def setUp(self) -> None:
        self.broker = Broker(reactor)
        self.broker.allow("user", "pass", read=["/topic/#"], write=["/topic/#"])
        self.port = reactor.listenTCP(0, self.broker.factory, interface="127.0.0.1")

    def tearDown(self) -> Deferred:
        return gatherResults([self.port.stopListening(), self.broker.close()])

    def _talk(self, commands, connect: str, *subscribe: str) -> None:
        client = OldClient(self.port.getHost().port)
        client.say(connect)
        engine = commands.Engine()
        self.assertEqual(engine.react(client.hear()), "")
        self.assertTrue(engine.sessionId)
        client.say(commands.subscribe("/topic/a", *subscribe))
        client.say(commands.send("/topic/a", "hello"))
        message = client.hear()
        self.assertEqual(message["body"], "hello")
        client.say(engine.react(message))  # an ACK that ack:auto did not ask for
        client.say(commands.send("/topic/a", "again"))
        self.assertEqual(client.hear()["body"], "again")
        client.close()

    def test_1_0(self) -> Deferred:
        """CONNECT without a version, SUBSCRIBE without an id, a space after the colon."""
        return deferToThread(self._talk, stomp_10, stomp_10.connect("user", "pass"))

    def test_1_1(self) -> Deferred:
        """stomper's own default."""
        return deferToThread(self._talk, stomper, stomper.connect("user", "pass", "localhost"), "1")
