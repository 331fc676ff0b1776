"""Transfers as the daemon makes them: success, progress, cancelling, and everything that can go wrong."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.threadable import isInIOThread
from twisted.trial.unittest import TestCase

from tests.fileservers import guest_server, other_key, scripted, vm_key
from vmcontroller import transfer
from vmcontroller.channel import Channel, Hangup
from vmcontroller.errors import FileDenied, NoSuchFile, TransferFailed

LARGE = os.urandom(2_000_000)


class TransferCase(TestCase):
    """``root`` is the guest's served directory, ``host`` one of the host."""

    def setUp(self) -> None:
        place = TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root, self.host = Path(place.name, "root"), Path(place.name, "host")
        self.root.mkdir()
        self.host.mkdir()
        self.servers = ExitStack()
        self.addCleanup(self.servers.close)

    def scripted(self, talk: Callable[[Channel], None]) -> int:
        """The port of a server that does as told."""
        return self.servers.enter_context(scripted(talk))

    def put(self, port: int, source: str, destination: str, **options: Any) -> Deferred[None]:
        """Put a file or directory of ``host``."""
        key = options.pop("key", vm_key()).private
        return transfer.put(reactor, "127.0.0.1", port, key, self.host / source, destination, **options)

    def get(self, port: int, source: str, destination: str, **options: Any) -> Deferred[None]:
        """Get a file or directory into ``host``."""
        key = vm_key().private
        return transfer.get(reactor, "127.0.0.1", port, key, source, self.host / destination, **options)


class TransferTests(TransferCase):
    """With the guest's own server."""

    def setUp(self) -> None:
        super().setUp()
        self.port = self.servers.enter_context(guest_server(self.root))

    async def test_a_file_goes_there_and_back(self) -> None:
        """Octet for octet."""
        (self.host / "f").write_bytes(LARGE)
        await self.put(self.port, "f", "g")
        self.assertEqual((self.root / "g").read_bytes(), LARGE)
        await self.get(self.port, "g", "h")
        self.assertEqual((self.host / "h").read_bytes(), LARGE)

    async def test_progress_is_told_in_the_reactors_thread_and_ends_with_all(self) -> None:
        """Octets done, octets in total, and the file's name; never backwards."""
        self.patch(transfer, "PROGRESS_INTERVAL", 0.0)
        (self.host / "t").mkdir()
        for name in ("a", "b"):
            (self.host / "t" / name).write_bytes(LARGE)
        told: list[tuple[int, int, str]] = []
        threads: set[bool] = set()

        def progress(done: int, total: int, name: str) -> None:
            told.append((done, total, name))
            threads.add(isInIOThread())

        await self.put(self.port, "t", "t", progress=progress)
        self.assertEqual(threads, {True})
        self.assertEqual(told[-1], (2 * len(LARGE), 2 * len(LARGE), "t/b"))
        self.assertEqual(told, sorted(told))
        self.assertEqual({name for _, _, name in told}, {"t/a", "t/b"})

    async def test_files_are_listed_by_name(self) -> None:
        """With what each is."""
        (self.root / "d").mkdir()
        (self.root / "a").write_text("four")
        (self.root / "a").chmod(0o750)
        os.utime(self.root / "a", (1, 2))
        for path in ("", "/"):
            found = await transfer.list_files(reactor, "127.0.0.1", self.port, vm_key().private, path)
            self.assertEqual([entry["name"] for entry in found], ["a", "d"])
            expected = {"name": "a", "size": 4, "mode": 0o100750, "mtime": 2, "directory": False}
            self.assertEqual(found[0], expected)
            self.assertTrue(found[1]["directory"])
        with self.assertRaises(NoSuchFile):
            await transfer.list_files(reactor, "127.0.0.1", self.port, vm_key().private, "x")

    async def test_another_key_is_denied(self) -> None:
        """And nothing is written."""
        (self.host / "f").write_text("x")
        with self.assertRaises(FileDenied):
            await self.put(self.port, "f", "f", key=other_key())
        self.assertEqual(os.listdir(self.root), [])

    async def test_defect_13_no_timeout_is_ignored(self) -> None:
        """In 2010 ``-t 10`` reached chirp as one argument and had no effect; now a silent guest is given up in time."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            listing = transfer.list_files(reactor, "127.0.0.1", port, vm_key().private, "", patience=0.05)
            with self.assertRaisesRegex(TransferFailed, "silent for too long"):
                await listing

    async def test_a_guest_that_cannot_be_reached_is_told(self) -> None:
        """Nobody listens there."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with self.assertRaisesRegex(TransferFailed, "the VM's file server: Connection refused"):
            await self.get(port, "f", "f")


class BrokenOffTests(TransferCase):
    """With servers that stop in the middle."""

    def setUp(self) -> None:
        super().setUp()
        (self.host / "f").write_bytes(b"old")
        (self.host / "large").write_bytes(LARGE)
        self.release = threading.Event()
        self.addCleanup(self.release.set)

    def stalls_put(self, channel: Channel) -> None:
        """Takes a part of a delivered file, and no more until it is released."""
        no_directory(channel)
        channel.line()
        channel.say(b"0\n")
        channel.octets(1000)
        reactor.callFromThread(self.reached.callback, None)
        self.release.wait(10)

    def stalls_get(self, channel: Channel) -> None:
        """Gives half a file."""
        channel.line()
        channel.say(b"0\n0 0 33188 0 0 0 0 2000000 0 0 0 0 0\n")
        channel.line()
        channel.say(b"2000000\n420\n" + LARGE[:1_000_000])
        channel.flush()
        reactor.callFromThread(self.reached.callback, None)
        self.release.wait(10)

    def assert_untouched(self) -> None:
        """The old file stands, and nothing is beside it."""
        self.assertEqual((self.host / "f").read_bytes(), b"old")
        self.assertEqual(sorted(os.listdir(self.host)), ["f", "large"])

    async def test_defect_12_success_is_not_reported_before_the_guest_has_it(self) -> None:
        """In 2010 a put had succeeded when its octets were written to the transport; now the guest must say so."""
        self.reached: Deferred[None] = Deferred()

        def slow(channel: Channel) -> None:
            no_directory(channel)
            assert channel.line() == b"deliver f 420 3"
            assert channel.octets(3) == b"old"
            channel.line()
            reactor.callFromThread(self.reached.callback, None)
            assert self.release.wait(10)
            channel.say(b"3\n")
            channel.flush()

        (self.host / "f").chmod(0o644)
        done = self.put(self.scripted(slow), "f", "f")
        await self.reached
        self.assertNoResult(done)
        self.release.set()
        await done

    async def test_defect_12_a_refusal_at_the_very_end_is_a_failure(self) -> None:
        """All octets have arrived, and then the guest's disk is full."""

        def full(channel: Channel) -> None:
            no_directory(channel)
            channel.line()
            channel.octets(3)
            channel.line()
            channel.say(b"-6\n")
            channel.flush()

        with self.assertRaisesRegex(Exception, "f: the guest's disk has no room"):
            await self.put(self.scripted(full), "f", "f")

    async def test_cancelling_a_put_ends_it(self) -> None:
        """Even while the guest takes nothing more."""
        self.reached = Deferred()
        done = self.put(self.scripted(self.stalls_put), "large", "x")
        await self.reached
        done.cancel()
        with self.assertRaises(CancelledError):
            await done

    async def test_cancelling_a_get_leaves_the_old_file(self) -> None:
        """It fires when nothing half done is left."""
        self.reached = Deferred()
        done = self.get(self.scripted(self.stalls_get), "f", "f")
        await self.reached
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        self.assert_untouched()

    async def test_a_connection_that_breaks_leaves_the_old_file(self) -> None:
        """In the middle of a file."""
        self.reached = Deferred()
        self.release.set()
        with self.assertRaisesRegex(TransferFailed, "f: the other side closed the connection.*untouched"):
            await self.get(self.scripted(self.stalls_get), "f", "f")
        self.assert_untouched()

    async def test_a_guest_that_stalls_is_given_up(self) -> None:
        """When patience ends, in either direction."""
        for talk, carry in ((self.stalls_put, self.put), (self.stalls_get, self.get)):
            self.reached = Deferred()
            with self.assertRaisesRegex(TransferFailed, "silent for too long|timed out"):
                await carry(self.scripted(talk), "large", "f", patience=0.2)
        self.assert_untouched()

    async def test_damaged_octets_leave_the_old_file(self) -> None:
        """The checksum behind them does not agree."""

        def damaged(channel: Channel) -> None:
            channel.line()
            channel.say(b"0\n0 0 33188 0 0 0 0 3 0 0 0 0 0\n")
            channel.line()
            channel.say(b"3\n420\nnew1\n")
            channel.flush()

        with self.assertRaisesRegex(TransferFailed, "f: it arrived damaged"):
            await self.get(self.scripted(damaged), "f", "f")
        self.assert_untouched()

    async def test_a_source_that_shrinks_is_told(self) -> None:
        """Its length was promised, so nothing is stored."""

        def shrinking(channel: Channel) -> None:
            no_directory(channel)
            channel.line()
            os.truncate(self.host / "large", 1000)
            channel.say(b"0\n")
            with_hangup(channel)

        with self.assertRaisesRegex(TransferFailed, "became shorter while it was sent"):
            await self.put(self.scripted(shrinking), "large", "x")


def no_directory(channel: Channel) -> None:
    """Answer a put's first question: its destination is no directory."""
    assert channel.line().startswith(b"stat ")
    channel.say(b"-3\n")


def with_hangup(channel: Channel) -> None:
    """Take everything until the client has gone."""
    try:
        channel.receive_body(1 << 40)
    except Hangup:
        pass
