"""How fast a TCP connection speaks, and how long it waits for an answer: congestion and round trip.

The round trip's estimate is that of RFC 6298, the congestion window's that of RFC 5681 with RFC 6582. Two limits are
narrower than on the Internet, because the link leads through this computer's memory: the timer stays short, so that a
guest which stood still for an hour is met at once when it goes on; and no more is under way than fits into the socket
at the hypervisor's end.
"""

from __future__ import annotations

#: Seconds: the timer's limits, and where it begins. The lower one is more than a guest delays an acknowledgement.
SHORTEST, LONGEST, FIRST = 0.2, 2.0, 0.5
#: Octets under way at most. Linux gives a socket room for some 128 KiB of such frames unless it is told otherwise.
LIMIT = 96 * 1024
#: Segments that may be under way before the first acknowledgement (RFC 6928).
_INITIAL = 10
#: Acknowledgements that repeat one before something counts as lost.
_DUPLICATES = 3


class RoundTrip:
    """``timeout`` is in seconds: how long to wait before something is sent again."""

    def __init__(self) -> None:
        self.timeout = FIRST
        self._clocked: tuple[int, float] | None = None
        self._smooth: float | None = None
        self._variation = 0.0

    def sent(self, end: int, now: float) -> None:
        """New octets up to this place were sent; one stretch at a time is clocked."""
        if self._clocked is None:
            self._clocked = (end, now)

    def acknowledged(self, place: int, now: float) -> None:
        """Everything before this place was heard."""
        if self._clocked is not None and place >= self._clocked[0]:
            self._measured(now - self._clocked[1])
            self._clocked = None
        if self._smooth is not None:
            self.timeout = min(max(self._smooth + 4 * self._variation, SHORTEST), LONGEST)

    def _measured(self, seconds: float) -> None:
        if self._smooth is None:
            self._smooth, self._variation = seconds, seconds / 2
        else:
            self._variation += (abs(self._smooth - seconds) - self._variation) / 4
            self._smooth += (seconds - self._smooth) / 8

    def lost(self) -> None:
        """Something is sent again: an answer would not tell which of the two it is for."""
        self._clocked = None

    def back_off(self) -> None:
        """No answer came in time: wait longer."""
        self.lost()
        self.timeout = min(2 * self.timeout, LONGEST)


class Congestion:
    """``window`` is in octets: how many may be under way."""

    def __init__(self, mss: int) -> None:
        self.window = float(min(_INITIAL * mss, LIMIT))
        self._mss = mss
        self._threshold = float(LIMIT)
        self._duplicates = 0
        self._recover = 0
        self._recovering = False

    def progress(self, octets: int, place: int) -> bool:
        """So many octets were acknowledged, up to this place. True: what follows there is lost as well."""
        self._duplicates = 0
        if self._recovering and place < self._recover:
            self.window = max(self.window - octets + self._mss, self._mss)
            return True
        if self._recovering:
            self._recovering, self.window = False, self._threshold
        elif self.window < self._threshold:
            self.window += min(octets, 2 * self._mss)
        else:
            self.window += self._mss * octets / self.window
        self.window = min(self.window, LIMIT)
        return False

    def duplicate(self, place: int, top: int) -> bool:
        """An acknowledgement of ``place`` came again, while all before ``top`` was sent. True: what follows is lost."""
        self._duplicates += 1
        if self._recovering:
            self.window += self._mss
        elif self._duplicates >= _DUPLICATES and place >= self._recover:
            self._lose(place, top)
            self._recovering, self.window = True, self._threshold + _DUPLICATES * self._mss
            return True
        return False

    def expired(self, place: int, top: int) -> None:
        """The timer ran out with this under way."""
        self._lose(place, top)
        self._recovering, self.window = False, float(self._mss)

    def _lose(self, place: int, top: int) -> None:
        self._threshold = max((top - place) / 2, 2.0 * self._mss)
        self._recover = top
        self._duplicates = 0
