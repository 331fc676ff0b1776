"""One TCP connection (RFC 9293) as a state machine: segments and time go in, segments and what they mean come out.

It has no socket and no clock: whoever drives it hands in each segment and the time, takes ``outgoing()``, ``read()``
and ``end``, and calls ``tick`` at ``deadline``. It can only call, never be called. From ESTABLISHED on the RFC's states
are what is over by now: of what is said (``sender.closing`` and ``done``), and of what is heard (``receiver.ended``).
Of the RFC it leaves out urgent data, and SACK and time stamps, which it does not offer.
"""

from __future__ import annotations

from enum import Enum, auto

from vmcontroller.hypervisors.common.net.receiving import Receiver
from vmcontroller.hypervisors.common.net.segment import ACK, FIN, PSH, RST, SYN, Segment, distance, plus
from vmcontroller.hypervisors.common.net.sending import Chunk, Sender

#: Octets that are kept until somebody reads them: the window. No more fits into a socket's buffer on the way.
CAPACITY = 128 * 1024
#: The largest window that can be told is 65535 times 2 to the power of this (RFC 7323).
_SCALE = 2
_MOST_SCALE = 14
#: A guest that says it takes less is not believed (RFC 9293, 3.7.1).
_LEAST_MSS = 536
#: Seconds: between two tries to open, before a lone segment is acknowledged, of silence before a guest counts as dead,
#: and during which the end is answered once more when it comes again.
KNOCKS, _ACK_DELAY, PATIENCE, _LINGER = 0.25, 0.002, 300.0, 10.0
#: Segments after which an acknowledgement goes out at once (RFC 9293, 3.8.6.3).
_ACK_EVERY = 2
#: Seconds between two answers to what does not belong here, so that two strangers cannot talk for ever (RFC 5961, 5).
_CHALLENGES = 0.1


class State(Enum):
    """RFC 9293's states, as far as they are not seen from the two directions."""

    SYN_SENT = auto()
    SYN_RECEIVED = auto()  # Both sides have called at the same time.
    ESTABLISHED = auto()  # And those that follow, up to TIME-WAIT.
    CLOSED = auto()


class End(Enum):
    """Why a connection is over."""

    DONE = auto()
    REFUSED = auto()
    RESET = auto()
    SILENT = auto()
    ABORTED = auto()


def refusal(segment: Segment) -> Segment | None:
    """What is answered to a segment that belongs to no connection: a reset, unless it is one."""
    if segment.flags & RST:
        return None
    sides = (segment.destination, segment.source)
    if segment.flags & ACK:
        return Segment(*sides, segment.acknowledgement, 0, RST, 0)
    return Segment(*sides, 0, plus(segment.sequence, segment.length), RST | ACK, 0)


class Connection:
    """A connection from our port ``local`` to a guest's port ``remote``.

    ``mss`` is the largest segment that the link bears, in octets; ``start`` the number of the first one, which nobody
    can guess. Times are in seconds, of whatever clock.
    """

    def __init__(self, local: int, remote: int, mss: int, start: int) -> None:
        self.state = State.SYN_SENT
        self.end: End | None = None
        self.sender = Sender(mss)
        self.receiver = Receiver(CAPACITY)
        self._sides = (local, remote)
        self._mss = mss
        self._start = start
        self._heard_start = 0
        self._scales = (0, 0)
        self._out: list[Segment] = []
        self._knock: float | None = None
        self._linger: float | None = None
        self._left = False
        self._owed = 0
        self._ack_by: float | None = None
        self._told_edge = 0
        self._newest = (0, 0)
        self._challenge = float("-inf")

    # -- what its owner does

    def open(self, now: float) -> None:
        """Call the guest, and again until it answers."""
        self._call(now)

    def write(self, octets: bytes, now: float) -> None:
        """Say something, as soon as it can be heard."""
        if self.state is not State.CLOSED:
            self.sender.write(octets)
            self._speak(now)

    def finish(self, now: float) -> None:
        """Say nothing more; what was written before arrives. The other side may go on."""
        self.sender.finish()
        self._speak(now)

    def leave(self, now: float) -> None:
        """Nobody listens any more: what was written still arrives, what the guest says from now on is refused."""
        self._left = True
        self.finish(now)
        self._settle(now)

    def read(self) -> bytes:
        """Take what was heard, and make room for as much."""
        octets = self.receiver.read()
        news = self.receiver.place + self.receiver.room - self._told_edge
        if news >= CAPACITY // 2 and self.state is State.ESTABLISHED and not self.receiver.ended:
            self._acknowledge()
        return octets

    def abort(self) -> None:
        """End it at once; the guest is told."""
        if self.state in (State.SYN_RECEIVED, State.ESTABLISHED):
            self._send(RST | ACK, self._place(self.sender.top))
        if self.state is not State.CLOSED:
            self._over(End.ABORTED)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` has to be called, if nothing happens before."""
        times = (self._knock, self.sender.deadline, self._ack_by, self._linger)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due by now."""
        if _is_due(self._linger, now):
            self._over(End.DONE)
        if _is_due(self._knock, now):
            self._call(now)
        if _is_due(self._ack_by, now):
            self._acknowledge()
        if _is_due(self.sender.deadline, now):
            self._expire(now)

    def _expire(self, now: float) -> None:
        if self.sender.since is not None and now - self.sender.since >= PATIENCE:
            self._send(RST | ACK, self._place(self.sender.top))
            self._over(End.SILENT)
            return
        self.sender.expire()
        self._speak(now)

    def outgoing(self) -> list[Segment]:
        """The segments to be sent now, each once."""
        out, self._out = self._out, []
        return out

    # -- what comes in

    def receive(self, segment: Segment, now: float) -> None:
        """A segment of this connection, whatever it says."""
        if self.state is State.SYN_SENT:
            self._hear_answer(segment, now)
        elif self.state is not State.CLOSED:
            self._hear(segment, now)

    def _hear_answer(self, segment: Segment, now: float) -> None:
        """RFC 9293, 3.10.7.3."""
        ours = segment.acknowledgement == plus(self._start, 1)
        if segment.flags & ACK and not ours:
            self._out += filter(None, [refusal(segment)])  # It is of an older connection, which ends thereby.
        elif segment.flags & RST:
            if segment.flags & ACK:
                self._over(End.REFUSED)
        elif segment.flags & SYN:
            self._agree(segment)
            if segment.flags & ACK:
                self._establish(segment, now)
                self._acknowledge()
                self._speak(now)
            else:
                self.state = State.SYN_RECEIVED
                self._call(now)

    def _agree(self, segment: Segment) -> None:
        """Take the other side's beginning, and what it offers there (RFC 7323, RFC 9293 3.7.1)."""
        self._heard_start = segment.sequence
        self._newest = (0, 0)
        self.sender.resize(max(_LEAST_MSS, min(self._mss, segment.mss or _LEAST_MSS)))
        if segment.scale is not None:
            self._scales = (_SCALE, min(segment.scale, _MOST_SCALE))

    def _call(self, now: float) -> None:
        self._knock = now + KNOCKS
        self._send_start(SYN if self.state is State.SYN_SENT else SYN | ACK)

    def _establish(self, segment: Segment, now: float) -> None:
        self.state = State.ESTABLISHED
        self._knock = None
        scale = 0 if segment.flags & SYN else self._scales[1]  # A window beside SYN is never scaled.
        self.sender.widen(segment.window << scale)

    def _hear(self, segment: Segment, now: float) -> None:
        """RFC 9293, 3.10.7.4, with RFC 5961."""
        place = self.receiver.place + distance(self._awaited, segment.sequence)
        if not self.receiver.welcomes(place, segment.length):
            if not segment.flags & RST:
                self._challenged(now, segment.length > 0)
        elif segment.flags & RST:
            self._over(End.RESET) if place == self.receiver.place else self._challenged(now)
        elif segment.flags & SYN:
            self._challenged(now)
        elif segment.flags & ACK and self._hear_acknowledgement(segment, place, now):
            self._hear_octets(segment, place, now)
            self._speak(now)
            self._settle(now)

    def _hear_acknowledgement(self, segment: Segment, place: int, now: float) -> bool:
        """Whether it acknowledges what was said."""
        sender = self.sender
        heard = sender.place + distance(self._place(sender.place), segment.acknowledgement)
        if not sender.place - CAPACITY <= heard <= sender.top:
            self._challenged(now)
            return False
        if self.state is State.SYN_RECEIVED:
            self._establish(segment, now)
        news = (place, heard) >= self._newest and sender.widen(segment.window << self._scales[1])
        self._newest = max(self._newest, (place, heard))
        sender.acknowledged(heard, not (news or segment.length), now)
        return True

    def _hear_octets(self, segment: Segment, place: int, now: float) -> None:
        if not segment.length or self.receiver.ended:
            return
        if self._left and segment.payload:
            self.abort()
            return
        awaited = self.receiver.place
        self.receiver.take(place, segment.payload, bool(segment.flags & FIN))
        self._owed += 1
        if self.receiver.gap or self.receiver.ended or self.receiver.place == awaited or self._owed >= _ACK_EVERY:
            self._acknowledge()
        elif self._ack_by is None:
            self._ack_by = now + _ACK_DELAY

    def _challenged(self, now: float, repeated: bool = False) -> None:
        """Say where we are to somebody who is somewhere else; what is merely said again is answered each time."""
        if repeated or now >= self._challenge:
            self._challenge = now + _CHALLENGES
            self._acknowledge()

    def _settle(self, now: float) -> None:
        """See whether both directions are over; one that nobody listens to is not waited for."""
        over = self.sender.done and (self.receiver.ended or self._left)
        if over and self._linger is None and self.state is State.ESTABLISHED:
            self._linger = now + _LINGER

    # -- what goes out

    def _speak(self, now: float) -> None:
        if self.state is State.ESTABLISHED:
            for chunk in self.sender.due(now):
                self._say(chunk)

    def _say(self, chunk: Chunk) -> None:
        flags = ACK | (FIN if chunk.last else 0) | (PSH if chunk.octets else 0)
        self._send(flags, self._place(chunk.place), chunk.octets)

    def _acknowledge(self) -> None:
        self._send(ACK, self._place(self.sender.top))

    def _send(self, flags: int, sequence: int, octets: bytes = b"") -> None:
        """Whatever is sent acknowledges what was heard."""
        window = min(self.receiver.room >> self._scales[0], 0xFFFF)
        self._told_edge = self.receiver.place + (window << self._scales[0])
        self._owed, self._ack_by = 0, None
        self._out.append(Segment(*self._sides, sequence, self._awaited, flags, window, octets))

    def _send_start(self, flags: int) -> None:
        awaited = plus(self._heard_start, 1) if flags & ACK else 0
        window = min(self.receiver.room, 0xFFFF)
        self._out.append(Segment(*self._sides, self._start, awaited, flags, window, b"", self._mss, _SCALE))

    @property
    def _awaited(self) -> int:
        """The sequence number that is awaited; the end has one, too."""
        return plus(self._heard_start, 1 + self.receiver.place + self.receiver.ended)

    def _place(self, place: int) -> int:
        """The sequence number of a place in what we say."""
        return plus(self._start, 1 + place)

    def _over(self, end: End) -> None:
        self.state, self.end = State.CLOSED, end
        self._knock = self._ack_by = self._linger = self.sender.deadline = None


def _is_due(time: float | None, now: float) -> bool:
    return time is not None and time <= now
