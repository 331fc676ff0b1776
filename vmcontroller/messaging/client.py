"""One connection to a broker, from the client's side: CONNECT, subscriptions, heart-beats, good-bye.

It does not know how the connection came about, and no word that is said on it.
"""

from __future__ import annotations

import secrets
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.wire.session import HeartBeats, Pulse, negotiate
from vmcontroller.wire.stomp import HEART_BEAT, Frame, Parser, ProtocolError, Version, encode

#: Seconds in which a new connection must be up, with every subscription confirmed.
PATIENCE = 10.0
#: Seconds between heart-beats, both ways, unless the broker wants fewer.
BEATS = HeartBeats(10.0, 10.0)
#: Seconds that a good-bye may take before the connection is cut.
FAREWELL = 1.0

_LAST_RECEIPT = "bye"


@dataclass(frozen=True)
class Account:
    """How a client names itself to the broker."""

    login: str
    passcode: str
    vhost: str = "/"

    def greeting(self) -> Frame:
        """The frame that opens the conversation."""
        headers = {"accept-version": f"{Version.V1_1},{Version.V1_2}", "host": self.vhost, "heart-beat": str(BEATS)}
        return Frame("CONNECT", headers | {"login": self.login, "passcode": self.passcode})


class Owner(typing.Protocol):
    """Who is told what happens on a StompClient's connection."""

    def client_up(self, client: StompClient) -> None:
        """It is connected, and every subscription stands."""

    def client_heard(self, client: StompClient, destination: str, headers: dict[str, str], body: bytes) -> None:
        """A MESSAGE came."""

    def client_drained(self, client: StompClient) -> None:
        """It was congested and is no longer."""

    def client_down(self, client: StompClient, reason: str) -> None:
        """The connection has ended, whether it was up or not; nothing more is told of it."""


@implementer(IPushProducer)
class StompClient(Protocol):
    """One connection to a broker, over any transport, dialled or accepted.

    ``up`` once every subscription stands; ``congested`` while the transport holds more than it can send.
    """

    transport: typing.Any  # any that can be paused

    def __init__(self, clock: IReactorTime, account: Account, destinations: Iterable[str], owner: Owner) -> None:
        self.up = False
        self.congested = False
        self._clock = clock
        self._account = account
        self._destinations = list(destinations)
        self._owner = owner
        self._parser = Parser()
        self._subscriptions = 0
        self._run = secrets.token_hex(8)
        self._unconfirmed: set[str] = set()
        self._pulse = Pulse(BEATS, HeartBeats(), clock.seconds())
        self._timer: IDelayedCall | None = None
        self._why = ""

    # -- the transport's calls

    def connectionMade(self) -> None:
        """Say CONNECT."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._after(PATIENCE, self.drop, f"the broker did not let this client in within {PATIENCE:g} s")
        self._say(self._account.greeting())

    def dataReceived(self, data: bytes) -> None:
        """Take what came; hang up on a broker that breaks STOMP's rules."""
        self._pulse.heard(self._clock.seconds())
        try:
            for frame in self._parser.feed(data):
                self._heard(frame)
        except ProtocolError as error:
            self.drop(f"the broker broke a rule of STOMP: {error}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the owner why."""
        self.up = self.congested = False
        self._after(None)
        self._owner.client_down(self, self._why or reason.getErrorMessage())

    def pauseProducing(self) -> None:
        """The transport holds more than it can send."""
        self.congested = True

    def resumeProducing(self) -> None:
        """The transport has sent what it held."""
        self.congested = False
        self._owner.client_drained(self)

    def stopProducing(self) -> None:
        """The transport has ended; connectionLost follows."""

    # -- the owner's calls

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send one message. When ``congested`` is true afterwards, wait for ``client_drained``."""
        self._say(Frame("SEND", {"destination": destination, **headers}, body))

    def subscribe(self, destination: str) -> None:
        """Ask for one more destination, ack:auto."""
        self._subscriptions += 1
        number = str(self._subscriptions)
        self._unconfirmed.add(number)
        headers = {"id": number, "destination": destination, "ack": "auto", "receipt": number}
        # RabbitMQ holds clients to rules by the names of their queues; other brokers take no notice of these two.
        queue = {"x-queue-name": f"{self._account.login}.{self._run}.{number}", "auto-delete": "true"}
        self._say(Frame("SUBSCRIBE", headers | queue))

    def leave(self) -> None:
        """Say good-bye: the connection ends when the broker has taken all that was sent, at most FAREWELL later."""
        if not self.up:
            return self.drop("this side hung up")
        self.up = False
        self._why = self._why or "this side hung up"
        self._after(FAREWELL, self.drop, "")
        self._say(Frame("DISCONNECT", {"receipt": _LAST_RECEIPT}))

    def drop(self, reason: str) -> None:
        """Hang up now; what was not sent is lost. The owner is told ``reason``."""
        self.up = False
        self._why = self._why or reason
        self.transport.abortConnection()

    # -- what the broker says

    def _heard(self, frame: Frame) -> None:
        if frame.cmd == "MESSAGE":
            self._owner.client_heard(self, frame.headers.get("destination", ""), frame.headers, frame.body)
        elif frame.cmd == "RECEIPT":
            self._heard_receipt(frame.headers.get("receipt-id", ""))
        elif frame.cmd == "CONNECTED":
            self._heard_connected(frame)
        elif frame.cmd == "ERROR":
            self._heard_error(frame)
        else:
            raise ProtocolError(f"{frame.cmd} is for a client to say")

    def _heard_receipt(self, receipt: str) -> None:
        self._unconfirmed.discard(receipt)
        if receipt == _LAST_RECEIPT:
            self.transport.loseConnection()
        elif not self.up and not self._why:
            self._up_when_confirmed()

    def _heard_connected(self, frame: Frame) -> None:
        self._parser.version = negotiate(frame.headers.get("version"))
        theirs = HeartBeats.parse(frame.headers.get("heart-beat"))
        self._pulse = Pulse(BEATS, theirs, self._clock.seconds())
        for destination in self._destinations:
            self.subscribe(destination)
        self._up_when_confirmed()

    def _up_when_confirmed(self) -> None:
        if not self._unconfirmed:
            self.up = True
            self._keep_alive()
            self._owner.client_up(self)

    def _heard_error(self, frame: Frame) -> None:
        said = frame.body.decode("utf-8", "replace").strip() or frame.headers.get("message", "no reason given")
        self.drop(f"the broker refused: {said}")

    # -- the rest

    def _say(self, frame: Frame) -> None:
        self.transport.write(encode(frame, self._parser.version or Version.V1_0))

    def _keep_alive(self) -> None:
        now = self._clock.seconds()
        if self._pulse.silent(now):
            return self.drop(f"the broker was silent for {2 * self._pulse.expect:g} s")
        if self._pulse.due(now):
            self._pulse.spoken(now)
            self.transport.write(HEART_BEAT)
        self._after(self._pulse.wait(now), self._keep_alive)

    def _after(self, seconds: float | None, action: Callable[..., None] = lambda: None, *arguments: str) -> None:
        """Have one thing done later, instead of what was to be done before; None is never."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self._clock.callLater(seconds, action, *arguments)
