"""One connected socket as Chirp needs it: lines, counted octets, and the bodies of files, in both directions.

Host and guest both use it, each connection in a thread of its own: a file's octets then go from socket to disk in
three system calls, and the disk may be slow without anybody else waiting for it. It knows no verb and no file.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from vmcontroller.wire.chirp import Inbox

#: Octets of a body that are moved at once.
CHUNK = 1024 * 1024
#: What is said is kept until the other side must be waited for, or until it is this many octets.
OUTBOX = 256 * 1024
_READ = 64 * 1024

#: Is given the next octets of a body, which it must not keep.
Taker = Callable[[memoryview], object]
#: Fills the beginning of a buffer and says with how many octets; 0 means that there are no more.
Filler = Callable[[memoryview], int]


class Hangup(Exception):
    """The connection has ended, or stood still for too long; the text says which."""


class Channel:
    """A connection used by one thread; only abort() may be called from another."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        """``patience`` is how many seconds the other side may be silent."""
        self._socket = connection
        self._patience = patience
        self._until: float | None = None
        self._inbox = Inbox()
        self._outbox = bytearray()
        #: Is called before anything that was said leaves this side: what it promises must be true by then.
        self.before_sending: Callable[[], None] = lambda: None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(patience)

    def finish_within(self, seconds: float | None) -> None:
        """What is heard from now on must come within so many seconds altogether; None lifts that again."""
        self._until = None if seconds is None else time.monotonic() + seconds
        self._socket.settimeout(self._patience)

    # -- saying

    def say(self, octets: bytes | memoryview) -> None:
        """Send these octets, at the latest when the other side is waited for."""
        self._outbox += octets
        if len(self._outbox) >= OUTBOX:
            self.flush()

    def flush(self) -> None:
        """Send all that was said."""
        if self._outbox:
            self.before_sending()
            self._send(self._outbox)
            self._outbox.clear()

    def send_body(self, count: int, fill: Filler, *takers: Taker) -> None:
        """Send ``count`` octets that ``fill`` gives; each of ``takers`` sees them, too. EOFError: it gave fewer."""
        buffer = memoryview(bytearray(min(count, CHUNK)))
        while count:
            chunk = buffer[: fill(buffer[:count])]
            if not chunk:
                raise EOFError
            for take in takers:
                take(chunk)
            self._send_chunk(chunk)
            count -= len(chunk)

    def _send_chunk(self, chunk: memoryview) -> None:
        if len(chunk) < _READ:
            self.say(chunk)
        else:
            self.flush()
            self._send(chunk)

    def _send(self, octets: bytearray | memoryview) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise self._hangup(error) from None

    # -- hearing

    def line(self) -> bytes:
        """The next line, without its line feed. BrokenChirp: it is too long."""
        line = self._inbox.line()
        while line is None:
            buffer = memoryview(bytearray(_READ))
            self._inbox.feed(buffer[: self._receive(buffer)])
            line = self._inbox.line()
        return line

    def octets(self, count: int) -> bytes:
        """The next ``count`` octets."""
        found = bytearray()
        self.receive_body(count, found.extend)
        return bytes(found)

    def receive_body(self, count: int, *takers: Taker) -> None:
        """Hand the next ``count`` octets to each of ``takers``, piece by piece."""
        buffer = memoryview(bytearray(min(count, CHUNK)))
        while count:
            chunk = buffer[: self._fill(buffer[:count])]
            for take in takers:
                take(chunk)
            count -= len(chunk)

    def _fill(self, buffer: memoryview) -> int:
        if not len(self._inbox):
            return self._receive(buffer)
        found = self._inbox.take(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _receive(self, buffer: memoryview) -> int:
        self.flush()
        try:
            self._hurry()
            count = self._socket.recv_into(buffer)
        except OSError as error:
            raise self._hangup(error) from None
        if not count:
            raise Hangup("the other side closed the connection")
        return count

    def _hurry(self) -> None:
        if self._until is not None:
            self._socket.settimeout(min(self._patience, max(0.001, self._until - time.monotonic())))

    def _hangup(self, error: OSError) -> Hangup:
        if isinstance(error, TimeoutError):
            return Hangup("the other side was silent for too long")
        return Hangup(f"the connection broke: {error.strerror or error}")

    # -- ending

    def abort(self) -> None:
        """Make whatever the connection's thread waits for fail at once. May be called from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is broken or closed already

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
