"""What the broker has to say to one client, and what happens when the client does not read it.

As long as the transport takes octets they go there. Once it is full they wait here, within bounds; those who send
to a client with much waiting are themselves not read from, so that they are slowed and it is not flooded.
"""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime, IWriteDescriptor
from zope.interface import implementer

from vmcontroller.broker.deadline import Deadline
from vmcontroller.broker.limits import Limits
from vmcontroller.broker.message import Sender


@implementer(IPushProducer)
class Outbox:
    """The way out to one client.

    ``ready`` while what is written goes straight to the transport; ``on_ready()`` when it is so again.
    ``overflow(reason)`` when the client has broken a bound. It puts itself into ``unsent`` when ``flush`` would help.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: typing.Any,
        limits: Limits,
        unsent: set[Outbox],
        on_ready: Callable[[], None],
        on_overflow: Callable[[str], None],
    ) -> None:
        self.ready = True
        self._transport = transport
        self._can_send_now = bool(IWriteDescriptor.providedBy(transport))
        self._limits = limits
        self._unsent = unsent
        self._on_ready = on_ready
        self.overflow = on_overflow
        self._closed = False
        self._waiting: deque[tuple[bytes, bytes]] = deque()  # in two pieces: the longer one is shared by consumers
        self._octets = 0
        self._held: set[Sender] = set()
        self._stalled = Deadline(clock, limits.stall_time, self._overflow_by_time)
        transport.registerProducer(self, True)

    def write(self, opening: bytes, tail: bytes = b"", sender: Sender | None = None) -> None:
        """Say these octets; ``sender`` is who can be made to wait for it."""
        if self.ready:
            self._transport.write(opening + tail)
            self._unsent.add(self)
        elif not self._closed:
            self._keep(opening, tail, sender)

    def flush(self) -> None:
        """Send what was written now, instead of in the reactor's next turn: that is a third of a round trip.

        What goes wrong here goes wrong there once more, and is looked after there.
        """
        if self._can_send_now and not self._closed and not self._transport.disconnecting:
            self._transport.doWrite()

    def beat(self, octets: bytes) -> None:
        """Say them if nothing else is on its way."""
        if self.ready:
            self._transport.write(octets)

    def close(self, last: bytes = b"") -> None:
        """Say one thing more instead of all that waits, and then nothing."""
        if not self._closed:
            self._closed, self.ready = True, False
            self._transport.unregisterProducer()
            self._transport.write(last)
            self._waiting.clear()
            self._octets = 0
            self._stalled.stop()
            self._release()

    def _keep(self, opening: bytes, tail: bytes, sender: Sender | None) -> None:
        limits = self._limits
        self._waiting.append((opening, tail))
        self._octets += len(opening) + len(tail)
        if len(self._waiting) > limits.backlog_messages:
            return self.overflow(f"more than {limits.backlog_messages} messages wait for it")
        if self._octets > limits.backlog_octets:
            return self.overflow(f"more than {limits.backlog_octets} octets wait for it")
        if len(self._waiting) == 1:
            self._stalled.start()
        if sender is not None and self._octets > limits.hold:
            self._held.add(sender)
            sender.hold(self)

    def _overflow_by_time(self) -> None:
        self.overflow(f"it has taken nothing for {self._limits.stall_time:g} s")

    def _release(self) -> None:
        held, self._held = self._held, set()
        for sender in held:
            sender.release(self)

    # -- the transport's calls

    def pauseProducing(self) -> None:
        """The transport is full."""
        self.ready = False

    def resumeProducing(self) -> None:
        """The transport is empty."""
        self.ready = True
        while self._waiting and self.ready:
            opening, tail = self._waiting.popleft()
            self._octets -= len(opening) + len(tail)
            self._transport.write(opening + tail)
        if self._octets <= self._limits.hold:
            self._release()
        if self._waiting:
            self._stalled.start()
        else:
            self._stalled.stop()
        if self.ready:
            self._on_ready()

    def stopProducing(self) -> None:
        """The transport has ended."""
