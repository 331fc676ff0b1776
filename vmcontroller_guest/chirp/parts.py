"""The verbs that work on parts of open files: open, close, pread, pwrite, fstat, fsync, ftruncate."""

from __future__ import annotations

import os

from vmcontroller.channel import Channel
from vmcontroller.wire.chirp import MAX_DATA, ChirpError, Number, reply, stat_of
from vmcontroller_guest.chirp.served import ServedFiles
from vmcontroller_guest.chirp.whole import send_part

#: Files that one session may hold open.
OPEN_FILES = 64


class OpenFiles:
    """A session's open files, by the numbers that the client knows them by."""

    def __init__(self, channel: Channel, files: ServedFiles) -> None:
        self._channel = channel
        self._files = files
        self._open: dict[int, int] = {}

    def close_all(self) -> None:
        """The session has ended."""
        while self._open:
            os.close(self._open.popitem()[1])

    def verb_open(self, path: str, letters: str, mode: int) -> bytes:
        number = next((n for n in range(OPEN_FILES) if n not in self._open), None)
        if number is None:
            raise ChirpError(Number.TOO_MANY_OPEN)
        self._open[number] = self._files.open(path, letters, mode)
        return reply(number, self._stat_line(number))

    def verb_close(self, number: int) -> bytes:
        os.close(self._fd(number))
        del self._open[number]
        return reply(0)

    def verb_fstat(self, number: int) -> bytes:
        return reply(0, self._stat_line(number))

    def verb_fsync(self, number: int) -> bytes:
        os.fsync(self._fd(number))
        return reply(0)

    def verb_ftruncate(self, number: int, size: int) -> bytes:
        os.ftruncate(self._fd(number), size)
        return reply(0)

    def verb_pread(self, number: int, length: int, offset: int) -> bytes:
        fd = self._fd(number)
        os.preadv(fd, [bytearray(1)], offset)  # refuses what was opened for writing alone
        count = max(0, min(length, MAX_DATA, os.fstat(fd).st_size - offset))
        self._channel.say(reply(count))
        send_part(self._channel, fd, offset, count)
        return b""

    def verb_pwrite(self, number: int, length: int, offset: int) -> bytes:
        part = _Part(self._open.get(number), offset)
        kept = min(length, MAX_DATA)
        self._channel.receive_body(kept, part.write)
        self._channel.receive_body(length - kept)
        if part.trouble is not None:
            raise part.trouble
        return reply(kept)

    def _fd(self, number: int) -> int:
        if number not in self._open:
            raise ChirpError(Number.BAD_FD)
        return self._open[number]

    def _stat_line(self, number: int) -> bytes:
        return stat_of(os.fstat(self._fd(number))).line()


class _Part:
    """Octets on their way into an open file; after trouble they pass by, so that the next request is found."""

    def __init__(self, fd: int | None, position: int) -> None:
        self._fd = fd
        self._position = position
        self.trouble: OSError | ChirpError | None = None if fd is not None else ChirpError(Number.BAD_FD)

    def write(self, octets: memoryview) -> None:
        try:
            while octets and self._fd is not None and self.trouble is None:
                written = os.pwrite(self._fd, octets, self._position)
                self._position += written
                octets = octets[written:]
        except OSError as trouble:
            self.trouble = trouble
