"""Keeps host or guest connected to the broker: dials, redials, adopts, and passes on what is said.

Nothing is queued here while the connection is down: whoever must be heard repeats himself.
"""

from __future__ import annotations

import random
import typing
from collections.abc import Callable, Iterable, Mapping

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from vmcontroller.messaging.client import Account, StompClient

#: Seconds before the first redial, and the longest wait that repeated failure leads to.
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0


class Messenger:
    """Keeps one connection to the broker, by dialling or by being given connections; a newer one replaces the older.

    ``on_up()`` when every subscription stands. ``on_message(destination, headers, body)`` for each MESSAGE.
    ``on_down(reason)`` when a connection has ended that nobody asked to end, and for each attempt that failed.
    ``on_drained()`` when ``congested`` has become false.

    It starts and stops as twisted.application's Services do, but is none: they cost a guest 0.7 MB of memory.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint | None,
        login: str,
        passcode: str,
        vhost: str,
        destinations: Iterable[str],
        on_up: Callable[[], None],
        on_message: Callable[[str, dict[str, str], bytes], None],
        on_down: Callable[[str], None],
        on_drained: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._account = Account(login, passcode, vhost)
        self._destinations = list(destinations)
        self._on_up = on_up
        self._on_message = on_message
        self._on_down = on_down
        self._on_drained = on_drained
        self._running = False
        self._client: StompClient | None = None
        self._ended: Deferred[None] | None = None
        self._dialling: Deferred[typing.Any] | None = None
        self._redial: IDelayedCall | None = None
        self._failures = 0

    # -- for those who speak

    @property
    def up(self) -> bool:
        """Whether what is sent now goes out."""
        return self._client is not None and self._client.up

    @property
    def congested(self) -> bool:
        """Whether the broker takes less than is sent: whoever can wait should, until ``on_drained``."""
        return self._client is not None and self._client.congested

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Send one message; False, and nothing is sent, while the connection is not up."""
        if self._client is None or not self._client.up:
            return False
        self._client.send(destination, headers, body)
        return True

    def subscribe(self, destination: str) -> None:
        """One more destination, now if the connection is up, and on every later one."""
        self._destinations.append(destination)
        if self._client is not None and self._client.up:
            self._client.subscribe(destination)

    def adopt(self, transport: typing.Any, leftover: bytes = b"") -> None:
        """Speak on a connection that another protocol opened; ``leftover`` are octets that it has read too far."""
        client = self._take(self._new_client())
        transport.protocol = client
        client.makeConnection(transport)
        if leftover:
            client.dataReceived(leftover)

    # -- the service

    def startService(self) -> None:
        """Dial, if there is an endpoint to dial."""
        self._running = True
        self._dial()

    def stopService(self) -> Deferred[None]:
        """Hang up after what was sent; fires when the connection is gone."""
        self._running = False
        if self._redial is not None and self._redial.active():
            self._redial.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._client is None:
            return succeed(None)
        self._ended = Deferred()
        self._client.leave()
        return self._ended

    def _dial(self) -> None:
        if self._endpoint is None:
            return
        factory = Factory.forProtocol(self._new_client)
        factory.noisy = False
        self._dialling = self._endpoint.connect(factory)
        self._dialling.addCallbacks(self._take, self._not_connected)

    def _new_client(self) -> StompClient:
        return StompClient(self._reactor, self._account, self._destinations, self)

    def _take(self, client: StompClient) -> StompClient:
        older, self._client, self._dialling = self._client, client, None
        if older is not None:
            older.drop("a newer connection took its place")
            self._on_down("a newer connection took its place")
        return client

    def _not_connected(self, failure: Failure) -> None:
        self._dialling = None
        if self._running:
            self._on_down(f"the broker cannot be reached: {failure.getErrorMessage()}")
            self._dial_later()

    def _dial_later(self) -> None:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._redial = self._reactor.callLater(wait * random.uniform(0.5, 1.0), self._dial)

    # -- what its client tells

    def client_up(self, client: StompClient) -> None:
        """See Owner."""
        if client is self._client:
            self._failures = 0
            self._on_up()

    def client_heard(self, client: StompClient, destination: str, headers: dict[str, str], body: bytes) -> None:
        """See Owner. An error in who listens is logged and costs no connection."""
        if client is not self._client:
            return
        try:
            self._on_message(destination, headers, body)
        except Exception:
            self._log.failure("a message from {destination} was not understood", destination=destination)

    def client_drained(self, client: StompClient) -> None:
        """See Owner."""
        if client is self._client:
            self._on_drained()

    def client_down(self, client: StompClient, reason: str) -> None:
        """See Owner."""
        if client is not self._client:
            return
        self._client = None
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended.callback(None)
            return
        self._on_down(reason)
        if self._running and self._endpoint is not None:
            self._dial_later()
