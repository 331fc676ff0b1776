"""The broker as the rest of the daemon sees it: who may come in, the door for connections, and the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from vmcontroller.broker.connection import Connection
from vmcontroller.broker.limits import Limits
from vmcontroller.broker.outbox import Outbox
from vmcontroller.broker.queues import Queues
from vmcontroller.broker.rules import Logins, Rule
from vmcontroller.broker.topics import Topics


class Broker:
    """A STOMP broker in this process. At first nobody may log in.

    ``factory`` makes the protocol of each connection. One that was made elsewhere is handed over like this::

        connection = broker.factory.buildProtocol(address)
        transport.protocol = connection
        connection.makeConnection(transport)
        connection.dataReceived(what_was_read_too_far)
    """

    def __init__(self, clock: IReactorTime, limits: Limits | None = None) -> None:
        self.clock = clock
        self.limits = limits or Limits()
        self.logins = Logins()
        self.topics = Topics()
        self.queues = Queues(self.limits)
        self.unsent: set[Outbox] = set()
        self.factory = Factory.forProtocol(lambda: Connection(self))  # type: ignore[arg-type]
        self.factory.noisy = False
        self._connections: set[Connection] = set()
        self._closing: Deferred[None] | None = None
        self._run = secrets.token_hex(4)
        self._messages = 0

    # -- for the daemon

    def allow(
        self,
        login: str,
        passcode: str,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        flow_control: bool = True,
    ) -> None:
        """Let a login in, to subscribe to what the patterns ``read`` contain and to send to what ``write`` contain.

        It replaces an earlier rule of the login; if that was another one its connections must log in anew. With
        ``flow_control`` the client is not read from while a consumer of what it sends has much waiting; one that
        many depend on, such as the daemon, goes without: then a consumer that does not keep up is cut off instead.
        ProtocolError when a pattern is no pattern.
        """
        if self.logins.allow(login, Rule(passcode, read, write, flow_control)):
            self._dismiss(login, f"the rule for {login!r} has changed; log in again")

    def forbid(self, login: str) -> None:
        """Let a login in no more, and hang up on whoever is in."""
        self.logins.forbid(login)
        self._dismiss(login, f"{login!r} may no longer log in")

    def close(self) -> Deferred[None]:
        """Cut all connections, for good. Fires with None when they are gone; nothing is left to happen then."""
        if self._closing is None:
            self._closing = Deferred()
        for connection in list(self._connections):
            connection.cut()
        return self._closing if self._connections else succeed(None)

    def _dismiss(self, login: str, reason: str) -> None:
        for connection in list(self._connections):
            if connection.session is not None and connection.session.login == login:
                connection.refuse(reason)

    # -- for its connections

    def new_message_id(self) -> str:
        """See Hub."""
        self._messages += 1
        return f"{self._run}-{self._messages}"

    def flush(self) -> None:
        """See Owner."""
        outboxes = list(self.unsent)
        self.unsent.clear()
        for outbox in outboxes:
            outbox.flush()

    def began(self, connection: Connection) -> None:
        """See Owner."""
        self._connections.add(connection)
        if self._closing is not None:
            connection.cut()

    def ended(self, connection: Connection) -> None:
        """See Owner."""
        self._connections.discard(connection)
        if self._closing is not None and not self._connections and not self._closing.called:
            self._closing.callback(None)
