"""One client's connection: octets to frames, CONNECT, deadlines, heart-beats, and how it ends.

Whoever breaks a rule hears in an ERROR frame which one, and is hung up on. So that these last words are not lost
in a reset, the broker closes its own half first and throws away what still comes, for a moment.
"""

from __future__ import annotations

import secrets
import typing

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.broker.deadline import Deadline
from vmcontroller.broker.outbox import Outbox
from vmcontroller.broker.rules import Logins
from vmcontroller.broker.session import Hub, Session
from vmcontroller.wire.session import HeartBeats, Pulse, negotiate
from vmcontroller.wire.stomp import HEART_BEAT, Frame, Parser, ProtocolError, Version, encode

_SERVER = "vmcontroller"


class Owner(Hub, typing.Protocol):
    """The broker, as its connections see it."""

    clock: IReactorTime
    logins: Logins
    unsent: set[Outbox]

    def flush(self) -> None:
        """Send what was written to ``unsent``."""

    def began(self, connection: Connection) -> None:
        """A connection was made."""

    def ended(self, connection: Connection) -> None:
        """It is gone."""


@implementer(IHalfCloseableProtocol)
class Connection(Protocol):
    """A client, from its first octet to its last."""

    transport: typing.Any  # any that can be paused
    _outbox: Outbox
    _log = Logger()

    def __init__(self, broker: Owner) -> None:
        clock, limits = broker.clock, broker.limits
        self.session: Session | None = None
        self._broker = broker
        self._clock = clock
        self._parser = Parser(limits.frame)
        self._pulse = Pulse(HeartBeats(), HeartBeats(), clock.seconds())
        self._next_beat: IDelayedCall | None = None
        self._closing = False
        self._held_by: set[object] = set()
        self._no_connect = self._deadline(limits.connect_time, f"no CONNECT came within {limits.connect_time:g} s")
        self._no_end = self._deadline(limits.frame_time, f"half a frame, then nothing for {limits.frame_time:g} s")
        self._linger = Deadline(clock, limits.linger, self.cut)

    # -- the transport's calls

    def connectionMade(self) -> None:
        """Wait for CONNECT, not for ever."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        broker = self._broker
        self._outbox = Outbox(
            self._clock, self.transport, broker.limits, broker.unsent, self._reads_again, self._overflow
        )
        self._no_connect.start()
        self._broker.began(self)

    def dataReceived(self, data: bytes) -> None:
        """Obey every frame that is whole."""
        if not self._closing:
            self._pulse.heard(self._clock.seconds())
            self._obey_all(data)
            self._broker.flush()

    def readConnectionLost(self) -> None:
        """The client says no more; it may still listen."""
        if self._parser.partial and not self._closing:
            self.refuse("the connection ended in the middle of a frame")
        self._close()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the client."""
        self._end()
        self._linger.stop()
        self._broker.ended(self)

    # -- what others do to it

    def refuse(self, rule: str, frame: Frame | None = None) -> None:
        """Say which rule was broken, by which frame if it is known, and hang up."""
        headers = {"message": rule, "content-type": "text/plain"}
        if frame is not None and "receipt" in frame.headers:
            headers["receipt-id"] = frame.headers["receipt"]
        if self.session is None:
            headers["version"] = ",".join(Version)
        # No more than debug: a guest could fill the disk with what it does wrong.
        self._log.debug("{login} is hung up on: {rule}", login=self.session and self.session.login, rule=rule)
        self._close(self._octets(Frame("ERROR", headers, rule.encode())))

    def cut(self) -> None:
        """End it now."""
        self._end()
        self.transport.abortConnection()

    def hold(self, consumer: object) -> None:
        """Do not read on while this consumer has much waiting."""
        if not self._held_by:
            self.transport.pauseProducing()
            self._no_end.stop()
        self._held_by.add(consumer)

    def release(self, consumer: object) -> None:
        """Read on, if no other consumer is waited for."""
        self._held_by.discard(consumer)
        if not self._held_by and not self._closing:
            self._pulse.heard(self._clock.seconds())
            self._watch_half_a_frame()
            self.transport.resumeProducing()

    # -- frames

    def _obey_all(self, data: bytes) -> None:
        try:
            for frame in self._parser.feed(data):
                self._obey(frame)
                if self._closing:
                    return
        except ProtocolError as error:
            return self.refuse(str(error))
        self._watch_half_a_frame()

    def _obey(self, frame: Frame) -> None:
        try:
            if self.session is None:
                self._log_in(frame)
            else:
                self.session.obey(frame)
                self._confirm(frame)
        except ProtocolError as error:
            self.refuse(str(error), frame)

    def _confirm(self, frame: Frame) -> None:
        if (receipt := frame.headers.get("receipt")) is not None:
            self._outbox.write(self._octets(Frame("RECEIPT", {"receipt-id": receipt})))
        if frame.cmd == "DISCONNECT":
            self._close()

    def _log_in(self, frame: Frame) -> None:
        if frame.cmd != "CONNECT":
            raise ProtocolError(f"the first frame must be CONNECT, and is {frame.cmd}")
        version = negotiate(frame.headers.get("accept-version"))
        theirs, mine = HeartBeats.parse(frame.headers.get("heart-beat")), self._broker.limits.heart_beats
        login = frame.headers.get("login", "")
        rule = self._broker.logins.admit(login, frame.headers.get("passcode", ""))
        self._no_connect.stop()
        self._parser.version = version
        self.session = Session(self._broker, login, rule, version, self._outbox, self)
        self._outbox.write(self._octets(_connected(version, mine)))
        self._pulse = Pulse(mine, theirs, self._clock.seconds())
        self._keep_alive()

    def _octets(self, frame: Frame) -> bytes:
        return encode(frame, self._parser.version or Version.V1_0)

    # -- time

    def _keep_alive(self) -> None:
        now = self._clock.seconds()
        if self._held_by:
            self._pulse.heard(now)  # nobody listens to it meanwhile
        if self._pulse.silent(now):
            return self.refuse(f"nothing was heard for {2 * self._pulse.expect:g} s, not even a heart-beat")
        if self._pulse.due(now):
            self._pulse.spoken(now)
            self._outbox.beat(HEART_BEAT)
        wait = self._pulse.wait(now)
        self._next_beat = None if wait is None else self._clock.callLater(wait, self._keep_alive)

    def _watch_half_a_frame(self) -> None:
        if self._parser.partial and not self._held_by:
            self._no_end.start()
        else:
            self._no_end.stop()

    def _deadline(self, seconds: float, rule: str) -> Deadline:
        return Deadline(self._clock, seconds, lambda: self.refuse(rule))

    def _reads_again(self) -> None:
        if self.session is not None:
            self.session.ready()

    def _overflow(self, reason: str) -> None:
        self.refuse(f"this client does not read what it is sent: {reason}")

    # -- the end

    def _close(self, last: bytes = b"") -> None:
        """Say one thing more, and hang up when it is out."""
        if not self._closing:
            self._end(last)
            self.transport.resumeProducing()
            getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)()
            self._linger.start()

    def _end(self, last: bytes = b"") -> None:
        """From here on nothing is heard and nothing else is said."""
        if self._closing:
            return
        self._closing = True
        self._no_connect.stop()
        self._no_end.stop()
        if self._next_beat is not None and self._next_beat.active():
            self._next_beat.cancel()
        self._outbox.close(last)
        if self.session is not None:
            self.session.end()


def _connected(version: Version, beats: HeartBeats) -> Frame:
    session = secrets.token_hex(8)
    return Frame("CONNECTED", {"version": version, "session": session, "server": _SERVER, "heart-beat": str(beats)})
