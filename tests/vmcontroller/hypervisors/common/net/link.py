"""Two connections that call each other at the same time, and a link between them, as bad as a test likes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import NamedTuple

from vmcontroller.hypervisors.common.net.segment import Segment
from vmcontroller.hypervisors.common.net.tcp import Connection, State, refusal

#: What becomes of a segment: the seconds after which it arrives, once for each; nothing if it is lost.
Fate = Callable[[], list[float]]


class _Arrival(NamedTuple):
    time: float
    number: int
    side: int
    octets: bytes


class Link:
    """Both ends, the time, and what is on its way. Segments travel as octets."""

    ADDRESSES = (bytes([10, 0, 2, 2]), bytes([10, 0, 2, 15]))

    def __init__(self, fate: Fate, starts: tuple[int, int] = (0, 0), mss: int = 1460) -> None:
        self.now = 1000.0
        self.ends = (Connection(40000, 9094, mss, starts[0]), Connection(9094, 40000, mss, starts[1]))
        #: Who does not read at the moment, and what each has heard.
        self.deaf = [False, False]
        self.heard = [bytearray(), bytearray()]
        self.fate = fate
        self.sent = 0
        self._on_its_way: list[_Arrival] = []
        self._numbers = itertools.count()
        for end in self.ends:
            end.open(self.now)
        self.move()

    def move(self) -> None:
        """Take what both ends have heard and want to send."""
        for side, end in enumerate(self.ends):
            if not self.deaf[side]:
                self.heard[side] += end.read()
            for segment in end.outgoing():
                self.send(side, segment)

    def send(self, side: int, segment: Segment) -> None:
        """Put a segment of this side on the way."""
        self.sent += 1
        octets = segment.encode(self.ADDRESSES[side], self.ADDRESSES[1 - side])
        for delay in self.fate():
            arrival = _Arrival(self.now + delay, next(self._numbers), 1 - side, octets)
            heapq.heappush(self._on_its_way, arrival)

    def step(self) -> bool:
        """Go on to the next thing that happens; False when nothing ever will."""
        times = [end.deadline for end in self.ends if end.deadline is not None]
        times += [self._on_its_way[0].time] if self._on_its_way else []
        if not times:
            return False
        self.now = max(self.now, min(times))
        while self._on_its_way and self._on_its_way[0].time <= self.now:
            self._arrive(heapq.heappop(self._on_its_way))
        for end in self.ends:
            end.tick(self.now)
        self.move()
        return True

    def _arrive(self, arrival: _Arrival) -> None:
        source, destination = self.ADDRESSES[1 - arrival.side], self.ADDRESSES[arrival.side]
        segment, end = Segment.decode(arrival.octets, source, destination), self.ends[arrival.side]
        if end.state is not State.CLOSED:
            end.receive(segment, self.now)
        elif reset := refusal(segment):
            self.send(arrival.side, reset)
        self.move()

    def run(self, until: Callable[[], bool], seconds: float = 600.0) -> None:
        """Go on until it is so; it has to be within so many seconds of the link's time."""
        end = self.now + seconds
        while not until():
            assert self.now < end, f"it is not so after {seconds} s"
            assert self.step(), "nothing happens any more"

    def established(self) -> bool:
        return all(end.state is State.ESTABLISHED for end in self.ends)


def perfect() -> list[float]:
    """Nothing is lost."""
    return [0.0001]
