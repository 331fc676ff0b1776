"""The file server on a real reactor: it accepts, serves in threads, and ends what it began."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.fileservers import client, raw_client, vm_key
from vmcontroller.channel import Hangup
from vmcontroller_guest.fileserver import SESSIONS, ChirpFactory

T = TypeVar("T")


class ChirpFactoryTests(TestCase):
    """A server on ``root``; ``close`` ends it."""

    def setUp(self) -> None:
        place = TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = Path(place.name)
        (self.root / ".__incoming.half").write_text("left by an agent that was killed")
        self.factory = ChirpFactory(self.root, vm_key().public, reactor)
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.close)

    async def close(self) -> None:
        await maybeDeferred(self.port.stopListening)
        await self.factory.close()

    async def thread(self, work: Callable[[int], T]) -> T:
        """Do something that waits for the server."""
        return await deferToThread(work, self.port.getHost().port)

    def test_what_a_killed_agent_left_is_removed(self) -> None:
        """Before anybody connects."""
        self.assertEqual(os.listdir(self.root), [])

    async def test_a_client_is_served(self) -> None:
        """While the reactor does other things."""

        def work(port: int) -> int:
            with client(port) as guest:
                return guest.call("whoami", 6)

        self.assertEqual(await self.thread(work), 6)

    async def test_closing_ends_a_put_and_leaves_nothing_of_it(self) -> None:
        """It fires when all is cleaned up."""
        begun: Deferred[None] = Deferred()

        def work(port: int) -> None:
            with client(port) as guest:
                guest.call("putfile", "/f", 0o644, 1000)
                self.assertEqual(len(os.listdir(self.root)), 1)
                reactor.callFromThread(begun.callback, None)
                self.assertRaises(Hangup, guest.channel.line)

        working = ensureDeferred(self.thread(work))
        await begun
        await self.close()
        self.assertEqual(os.listdir(self.root), [])
        await working

    async def test_too_many_are_hung_up_on(self) -> None:
        """And when one leaves, another may come."""

        def work(port: int) -> list[str]:
            connections = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(SESSIONS)]
            for connection in connections:
                connection.sendall(b"address\n")
                connection.recv(3)
            with raw_client(port) as one_too_many:
                self.assertRaises(Hangup, one_too_many.line)
            for connection in connections:
                connection.close()
            return []

        await self.thread(work)

    def test_a_key_that_is_none_is_refused_at_once(self) -> None:
        """When the server is made, and not when somebody connects."""
        self.assertRaises(ValueError, ChirpFactory, self.root, "no key", reactor)

    async def test_without_a_key_nobody_gets_in(self) -> None:
        """An agent that has no seed."""
        factory = ChirpFactory(self.root, "", reactor)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")

        def work(_: int) -> bytes:
            with raw_client(port.getHost().port) as channel:
                channel.say(b"ticket\n")
                return channel.line()

        self.assertEqual(await self.thread(work), b"no")
        await port.stopListening()
        await factory.close()
