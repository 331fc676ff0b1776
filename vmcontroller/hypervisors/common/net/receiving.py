"""What a TCP connection hears: octets in whatever order they come, put into theirs, and never more than fit.

Places are counted from the first octet on and do not wrap; tcp.py translates. What lies outside of the window was
never promised room, and is dropped.
"""

from __future__ import annotations

#: Pieces that wait for one before them; a guest that sends many small ones has to send some again.
_PIECES = 128


class Receiver:
    """One direction of a connection. ``capacity`` is in octets; ``place`` the next octet that is awaited."""

    def __init__(self, capacity: int) -> None:
        self.place = 0
        #: Whether all was heard up to the other side's end.
        self.ended = False
        self._capacity = capacity
        self._edge = capacity
        self._ready = bytearray()
        self._waiting: dict[int, bytes] = {}
        self._end: int | None = None

    @property
    def room(self) -> int:
        """The window: how many octets from ``place`` on are welcome. What was promised once is not taken back."""
        return self._edge - self.place

    @property
    def gap(self) -> bool:
        """Whether something came that waits for what is missing before it."""
        return bool(self._waiting)

    def welcomes(self, place: int, length: int) -> bool:
        """Whether a segment has anything to do with the window (RFC 9293, 3.4)."""
        if not length:
            return self.place <= place <= self._edge
        return place < self._edge + (self.room == 0) and place + length > self.place

    def take(self, place: int, octets: bytes, last: bool) -> None:
        """Octets that begin at this place, the ``last`` ones maybe. Those that were heard before are dropped."""
        fitting = octets[: max(0, self._edge - place)]
        if last and len(fitting) == len(octets) and self._end is None:
            self._end = place + len(octets)
        if place > self.place:
            self._keep(place, fitting)
        else:
            self._append(place, fitting)
            self._close_gaps()
        if self.place == self._end:
            self.ended = True
            self._waiting.clear()

    def _append(self, place: int, octets: bytes) -> None:
        fresh = octets[self.place - place :]
        if self._end is not None:
            fresh = fresh[: self._end - self.place]
        self._ready += fresh
        self.place += len(fresh)

    def _keep(self, place: int, octets: bytes) -> None:
        if len(octets) > len(self._waiting.get(place, b"")) and len(self._waiting) < _PIECES:
            self._waiting[place] = octets

    def _close_gaps(self) -> None:
        for place in sorted(self._waiting):
            if place > self.place:
                return
            self._append(place, self._waiting.pop(place))

    def read(self) -> bytes:
        """Take what is in order; there is room for as much again."""
        octets = bytes(self._ready)
        self._ready.clear()
        self._edge = max(self._edge, self.place + self._capacity)
        return octets
