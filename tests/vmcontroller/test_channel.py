"""The channel, on a pair of real sockets."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from vmcontroller.channel import CHUNK, OUTBOX, Channel, Hangup
from vmcontroller.wire.chirp import BrokenChirp

Pair = tuple[Channel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A channel, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = socket.create_connection(server.getsockname())
        channel = Channel(server.accept()[0], patience=10)
    yield channel, there
    channel.close()
    there.close()


def test_what_is_said_is_kept_until_an_answer_is_waited_for(pair: Pair) -> None:
    """So that many small requests travel together; what they promise is made true just before."""
    channel, there = pair
    settled = []
    channel.before_sending = lambda: settled.append(True)
    channel.say(b"a\n")
    channel.say(b"b\n")
    assert settled == []
    there.sendall(b"answer\n")
    assert channel.line() == b"answer"
    assert there.recv(100) == b"a\nb\n"
    assert settled == [True]


def test_answers_that_have_come_already_do_not_send_what_is_kept(pair: Pair) -> None:
    """Only waiting does."""
    channel, there = pair
    there.sendall(b"1\n2\n")
    assert channel.line() == b"1"
    channel.say(b"x")
    assert channel.line() == b"2"
    there.setblocking(False)
    with pytest.raises(BlockingIOError):
        there.recv(100)


def test_too_much_is_not_kept(pair: Pair) -> None:
    """It is sent as soon as it is a lot."""
    channel, there = pair
    channel.say(b"x" * OUTBOX)
    there.settimeout(10)
    assert there.recv(1) == b"x"


def test_bodies_of_any_size_pass_whole(pair: Pair) -> None:
    """Piece by piece, in both directions, between lines; every taker sees all of it."""
    channel, there = pair
    body = os.urandom(3 * CHUNK + 5)
    other = Channel(there, patience=10)
    seen, source = bytearray(), iter((body[:10], body[10 : 10 + CHUNK], body[10 + CHUNK :]))
    left = memoryview(b"")

    def fill(buffer: memoryview) -> int:
        nonlocal left
        left = left or memoryview(next(source))
        count = min(len(buffer), len(left))
        buffer[:count], left = left[:count], left[count:]
        return count

    def send() -> None:
        channel.say(b"before\n")
        channel.send_body(len(body), fill, seen.extend)
        channel.say(b"after\n")
        channel.flush()

    sender = threading.Thread(target=send)
    sender.start()
    assert other.line() == b"before"
    assert other.octets(len(body)) == body == bytes(seen)
    assert other.line() == b"after"
    sender.join()


def test_a_source_that_ends_early_is_told(pair: Pair) -> None:
    """The length was promised, so nobody else can tell."""
    with pytest.raises(EOFError):
        pair[0].send_body(10, lambda buffer: 0)


def test_a_closed_connection_is_a_hangup(pair: Pair) -> None:
    """While a line, or octets, are waited for."""
    channel, there = pair
    there.sendall(b"half a li")
    there.close()
    with pytest.raises(Hangup, match="closed"):
        channel.line()
    with pytest.raises(Hangup, match="closed"):
        channel.octets(10)


def test_silence_is_a_hangup_when_patience_ends(pair: Pair) -> None:
    """The text says so."""
    channel = Channel(pair[1], patience=0.05)
    with pytest.raises(Hangup, match="silent"):
        channel.line()


def test_dripping_does_not_extend_a_time_limit(pair: Pair) -> None:
    """finish_within() counts all that is heard."""
    channel, there = pair
    channel.finish_within(0.1)
    there.sendall(b"x")
    started = time.monotonic()
    with pytest.raises(Hangup, match="silent"):
        channel.line()
    assert time.monotonic() - started < 5


def test_nobody_reading_is_a_hangup_when_patience_ends(pair: Pair) -> None:
    """Octets are not piled up in memory."""
    channel = Channel(pair[1], patience=0.1)
    with pytest.raises(Hangup):
        channel.send_body(1 << 30, len)


def test_another_thread_can_end_the_waiting(pair: Pair) -> None:
    """At once; and twice does no harm."""
    channel, _ = pair
    timer = threading.Timer(0.05, channel.abort)
    timer.start()
    with pytest.raises(Hangup):
        channel.line()
    timer.join()
    channel.abort()


def test_a_line_without_end_is_broken(pair: Pair) -> None:
    """Memory is bounded."""
    channel, there = pair
    there.sendall(b"x" * 2000)
    with pytest.raises(BrokenChirp):
        channel.line()
