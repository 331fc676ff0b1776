"""What a TCP connection says: kept until it is acknowledged, sent again when it is lost, never more than is welcome.

Places are counted from the first octet on and do not wrap; tcp.py translates. The end (FIN) has a place of its own,
after the last octet. A window that is closed is knocked at from time to time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vmcontroller.hypervisors.common.net.pace import Congestion, RoundTrip


class Chunk(NamedTuple):
    """A part of the stream to be sent; ``last``: the end follows it."""

    place: int
    octets: bytes
    last: bool

    @property
    def end(self) -> int:
        """The place after it."""
        return self.place + len(self.octets) + self.last


class Sender:
    """One direction of a connection. ``mss`` is in octets; all times are the caller's clock's, in seconds."""

    def __init__(self, mss: int) -> None:
        #: The first place that is not acknowledged, and the one after all that was ever sent.
        self.place = self.top = 0
        #: When something has to be sent again unless an acknowledgement comes first.
        self.deadline: float | None = None
        #: Since when the other side has owed an acknowledgement.
        self.since: float | None = None
        self.closing = False
        self._mss = mss
        self._buffer = bytearray()
        self._written = 0
        self._next = 0
        self._window = 0
        self._widest = 0
        self._again = self._forced = False
        self._round_trip = RoundTrip()
        self._congestion = Congestion(mss)

    def resize(self, mss: int) -> None:
        """The other side takes segments of no more octets than these. Before anything was sent."""
        self._mss = mss
        self._congestion = Congestion(mss)

    # -- what there is to say

    def write(self, octets: bytes) -> None:
        """More of it."""
        self._buffer += octets
        self._written += len(octets)

    def finish(self) -> None:
        """Nothing follows."""
        self.closing = True

    @property
    def held(self) -> int:
        """How many octets are kept."""
        return len(self._buffer)

    @property
    def done(self) -> bool:
        """Whether all was acknowledged, the end, too."""
        return self.closing and self.place > self._written

    # -- what is to be sent

    def due(self, now: float) -> Iterator[Chunk]:
        """What has to be sent now, or may be."""
        if self._again:
            yield self._sent(self._chunk(self.place, min(self._mss, self._written - self.place)), now)
        while (chunk := self._following()) is not None:
            yield self._sent(chunk, now)
        self._set_timer(now)

    def _following(self) -> Chunk | None:
        """The next one that may be sent; small ones only if there is no more to say, or never will be more room."""
        rest = self._written - self._next
        if self._next >= self._written + self.closing:
            return None
        room = self.place + min(self._window, int(self._congestion.window)) - self._next
        length = min(rest, self._mss, max(room, self._forced))
        if rest and not length:
            return None
        is_silly = length < min(rest, self._mss) and 2 * length < self._widest
        return None if is_silly and not self._forced else self._chunk(self._next, length)

    def _chunk(self, place: int, length: int) -> Chunk:
        start = place - self.place
        octets = bytes(self._buffer[start : start + length])
        return Chunk(place, octets, last=self.closing and place + length == self._written)

    def _sent(self, chunk: Chunk, now: float) -> Chunk:
        if chunk.end > self.top:
            self._round_trip.sent(chunk.end, now)
        self._next = max(self._next, chunk.end)
        self.top = max(self.top, self._next)
        self._again = self._forced = False
        return chunk

    def _set_timer(self, now: float) -> None:
        """It runs while something is under way, or waits for a window to open."""
        if self.place >= self._written + self.closing:
            self.deadline = self.since = None
            return
        if self.deadline is None:
            self.deadline = now + self._round_trip.timeout
        if self.since is None:
            self.since = now

    def expire(self) -> None:
        """The deadline has come: begin again at the first place that is not acknowledged, or knock at the window."""
        if self.place < self.top:
            self._congestion.expired(self.place, self.top)
        self._round_trip.back_off()
        self._next = self.place
        self._forced = True
        self.deadline = None

    # -- what comes back

    def acknowledged(self, place: int, bare: bool, now: float) -> None:
        """All before ``place`` was heard, which is no more than was sent; ``bare``: that was all the segment said."""
        if place > self.place:
            self._progress(place, now)
        elif place == self.place < self.top and bare and self._congestion.duplicate(place, self.top):
            self._round_trip.lost()
            self._again = True
        self.since = None

    def _progress(self, place: int, now: float) -> None:
        octets = place - self.place
        del self._buffer[:octets]
        self.place = place
        self._next = max(self._next, place)
        self._round_trip.acknowledged(place, now)
        self._again = self._congestion.progress(octets, place)
        self.deadline = None

    def widen(self, window: int) -> bool:
        """The other side has room for so many octets after ``place``. True if that is news."""
        if self._window == window:
            return False
        if not self._window:
            self._next = self.place  # What knocked at the closed window was dropped there.
        self._window = window
        self._widest = max(self._widest, window)
        return True
