"""Passes octets between a guest, whose door was dialled, and a broker elsewhere, which is dialled for it.

Neither side is read faster than the other one takes. When one side ends, so does the other, after what it was sent.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure


class Relay(Protocol):
    """The guest's side; it takes a connection that is made already, and dials ``broker``."""

    log = Logger()
    transport: Any  # any that can be paused

    def __init__(self, broker: IStreamClientEndpoint) -> None:
        self._broker = broker
        self._dialling: Deferred[Any] | None = None
        self._far: _BrokerSide | None = None
        self._early = b""

    def connectionMade(self) -> None:
        """Read nothing until there is somebody to pass it to."""
        self.transport.pauseProducing()
        factory = Factory.forProtocol(lambda: _BrokerSide(self))
        factory.noisy = False
        self._dialling = self._broker.connect(factory)
        self._dialling.addErrback(self._not_connected)

    def dataReceived(self, data: bytes) -> None:
        """What the guest says goes to the broker."""
        if self._far is None:
            self._early += data
        else:
            self._far.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The guest is gone."""
        if self._far is not None:
            _end(self._far.transport)
        elif self._dialling is not None:
            self._dialling.cancel()

    def _not_connected(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.warn("the broker cannot be reached for a guest: {why}", why=failure.getErrorMessage())
            self.transport.abortConnection()

    # -- what the broker's side tells

    def joined(self, far: _BrokerSide) -> None:
        """The broker is there."""
        self._far = far
        far.transport.write(self._early)
        far.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(far.transport, True)
        self.transport.resumeProducing()

    def heard(self, data: bytes) -> None:
        """What the broker says goes to the guest."""
        self.transport.write(data)

    def parted(self) -> None:
        """The broker is gone."""
        _end(self.transport)


class _BrokerSide(Protocol):
    """The connection to the broker."""

    transport: Any

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._relay.joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._relay.heard(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._relay.parted()


def _end(transport: Any) -> None:
    """Hang up after what was written. Who has a producer waits for it to say that it has ended, too."""
    transport.unregisterProducer()
    transport.loseConnection()
