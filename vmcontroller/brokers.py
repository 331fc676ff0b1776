"""The broker in use: the embedded one, or one of the operator's own. The rest of the daemon sees no difference.

Either way the daemon is a client of it, and so is each guest, over the connection that the daemon has dialled.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint

from vmcontroller.access import Access
from vmcontroller.broker import Broker
from vmcontroller.config import BrokerSettings
from vmcontroller.errors import BadConfiguration
from vmcontroller.relay import Relay
from vmcontroller.wire.destinations import host_reads, host_writes

EMBEDDED = "embedded"
LOOPBACK = "127.0.0.1"
#: The daemon's own login at the embedded broker: no VM can have it, ids are in lower case.
HOST_LOGIN = "HOST"

#: Listens on a port of loopback: ``listen(port, factory, setting)`` gives its number.
Listen = Callable[[int, Any, str], Awaitable[int]]


@dataclass(frozen=True)
class WayIn:
    """How the daemon itself comes to the broker."""

    endpoint: IStreamClientEndpoint
    login: str
    passcode: str = field(repr=False)
    vhost: str


class BrokerInUse(Protocol):
    """What the daemon needs of a broker."""

    async def open(self) -> WayIn:
        """Make it ready for the daemon to log in."""

    def admit(self, access: Access) -> None:
        """Let a guest do this, and no more."""

    def dismiss(self, login: str) -> None:
        """Let a guest in no more."""

    def connection(self) -> IProtocol:
        """The broker's side of a guest's connection that is made already."""

    async def close(self) -> None:
        """Hang up on everybody."""


class EmbeddedBroker:
    """The one in this process, which obeys the daemon's rules."""

    def __init__(self, reactor: Any, daemon: str, port: int, listen: Listen) -> None:
        self._reactor = reactor
        self._daemon = daemon
        self._port = port
        self._listen = listen
        self._broker = Broker(reactor)

    async def open(self) -> WayIn:
        """It listens on loopback, and has a login for the daemon alone."""
        code = secrets.token_hex(32)
        reads, writes = (host_reads(self._daemon),), (host_writes(self._daemon),)
        self._broker.allow(HOST_LOGIN, code, read=reads, write=writes, flow_control=False)
        port = await self._listen(self._port, self._broker.factory, "broker.port")
        return WayIn(HostnameEndpoint(self._reactor, LOOPBACK, port), HOST_LOGIN, code, "/")

    def admit(self, access: Access) -> None:
        """See BrokerInUse."""
        self._broker.allow(access.login, access.passcode, access.read, access.write)

    def dismiss(self, login: str) -> None:
        """See BrokerInUse."""
        self._broker.forbid(login)

    def connection(self) -> IProtocol:
        """See BrokerInUse."""
        connection = self._broker.factory.buildProtocol(None)
        assert connection is not None
        return connection

    async def close(self) -> None:
        """See BrokerInUse."""
        await self._broker.close()


class ExternalBroker:
    """One elsewhere, whose rules are its operator's (docs/how-to/external-broker.md). BadConfiguration."""

    def __init__(self, reactor: Any, settings: BrokerSettings) -> None:
        self._settings = settings
        self._endpoint = HostnameEndpoint(reactor, *_address(settings.url))
        if not settings.login:
            raise BadConfiguration(f"broker.login is missing: as whom the daemon logs in at {settings.url}")

    async def open(self) -> WayIn:
        """See BrokerInUse."""
        settings = self._settings
        return WayIn(self._endpoint, settings.login, settings.passcode, settings.vhost)

    def admit(self, access: Access) -> None:
        """Its operator does."""

    def dismiss(self, login: str) -> None:
        """Its operator does."""

    def connection(self) -> IProtocol:
        """See BrokerInUse."""
        return Relay(self._endpoint)

    async def close(self) -> None:
        """Others may use it."""


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or url.lower() not in (f"tcp://{host}:{port}", f"tcp://[{host}]:{port}"):
        raise BadConfiguration(f'broker.url is {url!r}; it must be "{EMBEDDED}" or "tcp://HOST:PORT"')
    return host, port


def broker_in_use(reactor: Any, daemon: str, settings: BrokerSettings, listen: Listen) -> BrokerInUse:
    """The broker that the settings ask for. BadConfiguration."""
    if settings.url == EMBEDDED:
        return EmbeddedBroker(reactor, daemon, settings.port, listen)
    return ExternalBroker(reactor, settings)
