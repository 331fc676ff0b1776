"""One output stream on its way from a program to the host.

Octets are gathered for a moment, written to the spool, sent as far as the window allows, sent again when the host
falls silent, and freed when it confirms them. Knows offsets and time, and no word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller.wire.words import CHUNK, WINDOW, StreamReport
from vmcontroller_guest.spool import Spool
from vmcontroller_guest.timers import Timer

#: Seconds for which octets are gathered before they are sent.
GATHER = 0.02
#: Seconds without a confirmation after which everything unconfirmed is sent again.
STALL = 5.0
#: Seconds until a full disk is tried again.
RETRY = 1.0
#: Unconfirmed octets of one stream that the disk holds; then the program has to wait.
SPOOL_LIMIT = 64 * 1024 * 1024


class OutStream:
    """``send(offset, data)`` says octets to the host while ``permitted()``.

    ``emptied()`` is called when there is room again, or when the last octet was sent.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        spool: Spool,
        send: Callable[[int, bytes], None],
        permitted: Callable[[], bool],
        emptied: Callable[[], None],
        limit: int = SPOOL_LIMIT,
    ) -> None:
        self._spool = spool
        self._send = send
        self._permitted = permitted
        self._emptied = emptied
        self._limit = limit
        self._gathered = bytearray()
        self._digest = hashlib.sha256()
        self._confirmed = self._sent = self._reached = spool.start
        self._flushing = Timer(clock, self._flush)
        self._stalling = Timer(clock, self._stalled)
        self._was_full = False

    @property
    def length(self) -> int:
        """Octets that the program has written, as far as they were read."""
        return self._spool.end + len(self._gathered)

    @property
    def full(self) -> bool:
        """No more should be read from the program for now."""
        return self._spool.end - self._confirmed >= self._limit or len(self._gathered) >= 4 * CHUNK

    @property
    def all_sent(self) -> bool:
        """Every octet has been sent, this session."""
        return self._sent == self.length

    # -- the program's side

    def take(self, data: bytes) -> None:
        """The program wrote this."""
        self._digest.update(data)
        self._gathered += data
        if len(self._gathered) >= CHUNK:
            self._flush()
        elif not self._flushing.running:
            self._flushing.start(GATHER)
        self._was_full = self.full

    def report(self) -> StreamReport:
        """What the result says of the stream, which has ended. OSError when the disk is full: ask again later."""
        length = self.length
        if length <= CHUNK and not self._spool.start:
            return StreamReport.of(self._whole(), self._digest.hexdigest())
        self._write()
        self._spool.sync()
        return StreamReport(length, self._digest.hexdigest())

    def saved_report(self) -> StreamReport:
        """What the result says of the stream if an earlier agent had read it, and only the spool is left."""
        if self._spool.start:
            return StreamReport(self._spool.end)
        for offset in range(0, self._spool.end, CHUNK):
            self._digest.update(self._spool.read(offset, CHUNK))
        return self.report()

    def _whole(self) -> bytes:
        return (self._spool.read(0, self._spool.end) if self._spool.end else b"") + self._gathered

    def _flush(self) -> None:
        self._flushing.stop()
        try:
            self._write()
        except OSError as error:
            self.log.warn("output waits for room on the disk: {error}", error=error)
            self._flushing.start(RETRY)
        self.pump()

    def _write(self) -> None:
        before = self._spool.end
        try:
            self._spool.append(bytes(self._gathered))
        finally:
            del self._gathered[: self._spool.end - before]

    # -- the host's side

    def rewind(self, offset: int) -> None:
        """A new session: the host has ``offset`` octets, and whatever was under way is lost."""
        if offset < self._spool.start:
            self.log.error("the host lacks octets {a} to {b}, which it had confirmed", a=offset, b=self._spool.start)
        self._confirmed = self._sent = self._reached = min(max(offset, self._spool.start), self._spool.end)
        self._spool.free(self._confirmed)
        self._stalling.stop()

    def confirm(self, offset: int) -> None:
        """The host has ``offset`` octets. What was never sent cannot be confirmed, nor less than before."""
        if not self._confirmed < offset <= self._reached:
            return
        self._confirmed = offset
        self._sent = max(self._sent, offset)
        self._spool.free(offset)
        self._stalling.stop()
        self.pump()

    def pump(self) -> None:
        """Send what may be sent now."""
        before = self._sent
        while self._permitted() and self._sent < min(self._spool.end, self._confirmed + WINDOW):
            count = min(CHUNK, self._confirmed + WINDOW - self._sent)
            data = self._spool.read(self._sent, count)
            self._sent += len(data)
            self._reached = max(self._reached, self._sent)
            self._send(self._sent - len(data), data)
        if self._sent > self._confirmed and not self._stalling.running:
            self._stalling.start(STALL)
        self._tell_emptied(self._sent > before and self.all_sent)

    def _tell_emptied(self, all_sent: bool) -> None:
        has_room_again = self._was_full and not self.full
        if all_sent or has_room_again:
            self._was_full = self.full
            self._emptied()

    def _stalled(self) -> None:
        self._sent = self._confirmed
        self.pump()

    # -- the end

    def close(self) -> None:
        """Go quiet; what was gathered goes to the disk, as far as it has room."""
        self._stop()
        try:
            self._write()
        except OSError as error:
            self.log.error("{n} octets of output are lost: {error}", n=len(self._gathered), error=error)
        self._spool.close()

    def clear(self) -> None:
        """Go quiet and free every octet."""
        self._stop()
        self._gathered.clear()
        self._spool.clear()

    def _stop(self) -> None:
        self._flushing.stop()
        self._stalling.stop()
