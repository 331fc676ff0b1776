"""Shows a TCP connection to a guest as one of Twisted's transports, with its clock and its backpressure.

The octets that a protocol does not take stay in the connection's window, which closes then; those that the guest does
not take stay in its buffer, and pause the producer. What is of TCP is in tcp.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.hypervisors.common.net.segment import Segment
from vmcontroller.hypervisors.common.net.tcp import Connection, End, State

#: Octets that may wait for the guest before the producer is paused, and at which it goes on.
HIGH, LOW = 256 * 1024, 128 * 1024

_REASONS: dict[End, type[Exception]] = {
    End.DONE: ConnectionDone,
    End.REFUSED: ConnectionRefusedError,
    End.RESET: ConnectionLost,
    End.SILENT: TimeoutError,
    End.ABORTED: ConnectionAborted,
}


@implementer(ITransport, IConsumer, IPushProducer)
class GuestTransport:
    """``send`` takes the segments that go to the guest; ``gone`` is called when the connection is no more.

    ``opened`` fires with the protocol when the guest has answered, and fails when it does not; cancelling it hangs up.
    """

    def __init__(
        self,
        clock: IReactorTime,
        connection: Connection,
        protocol: IProtocol,
        ends: tuple[IPv4Address, IPv4Address],
        send: Callable[[Segment], None],
        gone: Callable[[], None],
    ) -> None:
        self.opened: Deferred[IProtocol] = Deferred(self._give_up)
        self.disconnecting = False
        self._clock = clock
        self._connection = connection
        self._protocol: IProtocol | None = protocol
        self._ends = ends
        self._send = send
        self._gone = gone
        self._paused = False
        self._deaf = False
        self._producer: Any = None
        self._producer_paused = False
        self._call: IDelayedCall | None = None

    # -- what drives it

    def open(self) -> None:
        """Call the guest."""
        self._connection.open(self._clock.seconds())
        self._move()

    def _give_up(self, opened: Deferred[IProtocol]) -> None:
        self._protocol = None
        self.abortConnection()

    def hear(self, segment: Segment) -> None:
        """A segment of the guest's."""
        self._connection.receive(segment, self._clock.seconds())
        self._move()

    def _tick(self) -> None:
        self._call = None
        self._connection.tick(self._clock.seconds())
        self._move()

    def _move(self) -> None:
        """See what has become of the connection."""
        self._flush()
        self._greet()
        self._deliver()
        self._release()
        self._flush()
        self._conclude()
        self._wait()

    def _flush(self) -> None:
        for segment in self._connection.outgoing():
            self._send(segment)

    def _greet(self) -> None:
        if self._connection.state is State.ESTABLISHED and not self.opened.called and self._protocol is not None:
            self._protocol.makeConnection(self)
            self.opened.callback(self._protocol)

    def _deliver(self) -> None:
        """Hand on what was heard, and that it is all."""
        if self._paused or not self.opened.called:
            return
        octets = self._connection.read()
        if octets and self._protocol is not None:
            self._protocol.dataReceived(octets)
        if self._connection.receiver.ended and not self._paused and not self._deaf:
            self._deaf = True
            self._tell_end()

    def _tell_end(self) -> None:
        """The guest will say nothing more. Who does not know of halves takes that for the end, as with every socket."""
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._lose(ConnectionDone())
            self._connection.leave(self._clock.seconds())

    def _release(self) -> None:
        if self._producer_paused and self._connection.sender.held <= LOW:
            self._producer_paused = False
            self._producer.resumeProducing()

    def _conclude(self) -> None:
        end = self._connection.end
        if end is not None:
            self._gone()
            self._lose(_REASONS[end]())
        elif self._connection.sender.done and (self.disconnecting or self._deaf):
            self._lose(ConnectionDone())

    def _lose(self, reason: Exception) -> None:
        """Tell the protocol, once; the connection may outlive it until all has arrived."""
        protocol, self._protocol, self._producer = self._protocol, None, None
        self._producer_paused = False
        if protocol is None:
            return
        if self.opened.called:
            protocol.connectionLost(Failure(reason))
        else:
            self.opened.errback(Failure(reason))

    def _wait(self) -> None:
        """Have the clock ring when something is due. A bell that rings too early does no harm, and is left."""
        deadline = self._connection.deadline
        if self._call is not None and (deadline is None or deadline < self._call.getTime()):
            self._call.cancel()
            self._call = None
        if self._call is None and deadline is not None:
            self._call = self._clock.callLater(max(0.0, deadline - self._clock.seconds()), self._tick)

    # -- ITransport

    def write(self, data: bytes) -> None:
        if self._protocol is None or self._connection.sender.closing:
            return
        self._connection.write(data, self._clock.seconds())
        self._flush()
        self._wait()
        if self._producer is not None and not self._producer_paused and self._connection.sender.held > HIGH:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End it when the guest has heard what was written."""
        if not self.disconnecting and self._protocol is not None:
            self.disconnecting = True
            self._connection.leave(self._clock.seconds())
            self._flush()
            self._wait()

    def loseWriteConnection(self) -> None:
        """Say nothing more after what was written, and go on hearing."""
        self._connection.finish(self._clock.seconds())
        self._flush()
        self._wait()

    def abortConnection(self) -> None:
        """End it at once."""
        self._connection.abort()
        self._flush()
        self._conclude()
        self._wait()

    def getPeer(self) -> IPv4Address:
        return self._ends[1]

    def getHost(self) -> IPv4Address:
        return self._ends[0]

    # -- IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """A push producer; others have to be made one."""
        if not streaming:
            raise ValueError("a guest's transport takes push producers only")
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._producer_paused = False

    # -- IPushProducer

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._move()

    def stopProducing(self) -> None:
        self.loseConnection()
