"""The guest's door: the host dials it, both prove that they know the seed's secret, and the agent speaks STOMP.

See vmcontroller/wire/door.py for the three lines. Whoever does not know the secret is hung up on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from vmcontroller.wire.door import AgentSide, DoorRefused
from vmcontroller_guest.timers import Timer

#: Seconds that a caller has to prove himself, and how many may be at it at once.
PATIENCE = 10.0
CALLERS = 16


class DoorFactory(Factory):
    """``admit(transport, leftover)`` is given each proven connection, with the octets that followed the proof."""

    noisy = False

    def __init__(self, clock: IReactorTime, secret: str, admit: Callable[[Any, bytes], None]) -> None:
        self.clock = clock
        self.secret = secret
        self.admit = admit
        self.callers: set[DoorProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A protocol for a new caller; None, which hangs up, while too many are before him."""
        return DoorProtocol(self) if len(self.callers) < CALLERS else None

    def close(self) -> None:
        """Hang up on everybody who has not been admitted."""
        for caller in list(self.callers):
            caller.refuse("the door is closed")


class DoorProtocol(Protocol):
    """One caller, until he is admitted or refused."""

    log = Logger()
    transport: Any  # it can be aborted, too

    def __init__(self, factory: DoorFactory) -> None:
        self._door = factory
        self._side = AgentSide(factory.secret)
        self._patience = Timer(factory.clock, self._too_slow)

    def connectionMade(self) -> None:
        """Greet."""
        self._door.callers.add(self)
        self._patience.start(PATIENCE)
        self.transport.setTcpNoDelay(True)
        self.transport.write(self._side.greeting())

    def dataReceived(self, data: bytes) -> None:
        """Hear the proof."""
        try:
            answer = self._side.feed(data)
        except DoorRefused as error:
            return self.refuse(str(error))
        if answer:
            self.transport.write(answer)
        if self._side.proved:
            self._leave()
            self._door.admit(self.transport, self._side.leftover)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """He went away."""
        self._leave()

    def refuse(self, why: str) -> None:
        """Hang up."""
        self.log.warn("a caller at the door is refused: {why}", why=why)
        self._leave()
        self.transport.abortConnection()

    def _too_slow(self) -> None:
        self.refuse(f"he said nothing for {PATIENCE:g} s")

    def _leave(self) -> None:
        self._patience.stop()
        self._door.callers.discard(self)
