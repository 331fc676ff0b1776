"""The verbs that move or read whole files: getfile, putfile, fetch, deliver, hash, md5.

A put file replaces the old one only when it is whole, on disk and, for deliver, of the right checksum.
"""

from __future__ import annotations

import hashlib
import os

from vmcontroller.channel import Channel, Filler, Hangup, Taker
from vmcontroller.wire.chirp import EAGER, Checksum, ChirpError, Number, parse_number, reply
from vmcontroller_guest.chirp.incoming import Incoming
from vmcontroller_guest.chirp.served import ServedFiles

_ALGORITHMS = ("md5", "sha1")


class WholeFiles:
    """Each ``verb_`` method answers one request; what it returns is said last."""

    def __init__(self, channel: Channel, files: ServedFiles) -> None:
        self._channel = channel
        self._files = files

    def verb_getfile(self, path: str) -> bytes:
        with self._files.reading(path) as (fd, status):
            self._channel.say(reply(status.size))
            send_part(self._channel, fd, 0, status.size)
        return b""

    def verb_fetch(self, path: str) -> bytes:
        checksum = Checksum()
        with self._files.reading(path) as (fd, status):
            self._channel.say(reply(status.size, b"%d\n" % (status.mode & 0o777)))
            send_part(self._channel, fd, 0, status.size, checksum.update)
        return checksum.line()

    def verb_putfile(self, path: str, mode: int, size: int) -> bytes:
        with Incoming(self._files, path, mode, size) as incoming:
            incoming.check()
            self._channel.say(reply(0))
            self._channel.receive_body(size, incoming.write)
            incoming.keep()
        return reply(size)

    def verb_deliver(self, path: str, mode: int, size: int) -> bytes:
        checksum = Checksum()
        with Incoming(self._files, path, mode, size) as incoming:
            if size > EAGER:
                incoming.check()
                self._channel.say(reply(0))
            self._channel.receive_body(size, checksum.update, incoming.write)
            if parse_number(self._channel.line()) != checksum.value:
                raise ChirpError(Number.TRY_AGAIN)
            incoming.keep()
        return reply(size)

    def verb_md5(self, path: str) -> bytes:
        return self.verb_hash("md5", path)

    def verb_hash(self, algorithm: str, path: str) -> bytes:
        if algorithm not in _ALGORITHMS:
            raise ChirpError(Number.INVALID_REQUEST)
        with self._files.reading(path) as (fd, _), open(fd, "rb", buffering=0, closefd=False) as file:
            digest = hashlib.file_digest(file, algorithm).digest()
        return reply(len(digest), digest)


def send_part(channel: Channel, fd: int, offset: int, count: int, *takers: Taker) -> None:
    """Send a part of a file. Its length was told already, so what is missing can only be told by hanging up."""
    try:
        channel.send_body(count, _reader(fd, offset), *takers)
    except (EOFError, OSError):
        raise Hangup("the file became shorter, or unreadable, while it was sent") from None


def _reader(fd: int, position: int) -> Filler:
    def fill(buffer: memoryview) -> int:
        nonlocal position
        count = os.preadv(fd, [buffer], position)
        position += count
        return count

    return fill
