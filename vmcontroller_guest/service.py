"""Builds the agent out of its parts, and takes it down again. It decides nothing else."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from vmcontroller import __version__
from vmcontroller.errors import BadConfiguration, PortTaken, StateDirectoryUnusable
from vmcontroller.messaging import Messenger
from vmcontroller.wire.destinations import GuestDestinations
from vmcontroller.wire.keys import passcode
from vmcontroller_guest.agent import Agent
from vmcontroller_guest.config import Settings
from vmcontroller_guest.door import DoorFactory
from vmcontroller_guest.executor import LinuxExecutor
from vmcontroller_guest.fileserver import ChirpFactory
from vmcontroller_guest.identity import Identity, addresses, gateway, id_from_mac
from vmcontroller_guest.journal import Journal
from vmcontroller_guest.link import Link
from vmcontroller_guest.program import Surroundings
from vmcontroller_guest.seed import Seed, find_seed, parse_broker, read_seed
from vmcontroller_guest.vitals import read_vitals
from vmcontroller_guest.wallclock import set_clock

#: Where the broker listens on a guest's gateway, as in 2009.
BROKER_PORT = 61613


def who_am_i(settings: Settings) -> Seed:
    """The seed, or what takes its place where there is none: no secret, and the broker at the gateway."""
    path = settings.seed or find_seed()
    if path is not None:
        return read_seed(path)
    broker = parse_broker(settings.broker, "broker") if settings.broker else (gateway(), BROKER_PORT)
    return Seed(id_from_mac(settings.interface), settings.group, settings.daemon, "", settings.name, broker=broker)


class GuestService:
    """One agent. Every error of ``start`` is a VMControllerError, and the program should end then."""

    log = Logger()

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._ports: list[IListeningPort] = []
        self._door: DoorFactory | None = None

    def start(self) -> None:
        """End what an earlier life left, open the ports, tell them, and wait for the host or dial it."""
        settings = self._settings
        self._seed = seed = who_am_i(settings)
        around = Surroundings(seed.id, settings.state, settings.serve, dict(os.environ))
        self._executor = LinuxExecutor(self._reactor, around, owns_children=True)
        _make(settings.serve)
        self._journal = Journal(settings.state)
        self._link = Link(GuestDestinations(seed.daemon, seed.group, seed.id))
        self._messenger = self._make_messenger()
        ports = self._open_ports()
        self._agent = self._make_agent(ports.get("chirp", 0))
        self._link.agent, self._link.messenger = self._agent, self._messenger
        self._agent.start()
        self._tell(ports)
        self._messenger.startService()
        self.log.info("{id} is ready, version {version}", id=seed.id, version=__version__)

    def stop(self) -> Deferred[Any]:
        """Say BYE, end every command, hang up; fires when all that is done."""
        ended: Deferred[None] = Deferred()
        self._agent.stop("the agent was stopped", lambda: ended.callback(None))
        if self._door is not None:
            self._door.close()
        closing: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in self._ports]
        closing += [ended, self._messenger.stopService(), self._chirp.close()]
        return DeferredList(closing).addBoth(self._stopped)

    def _stopped(self, result: Any) -> None:
        self._journal.close()
        self.log.info("stopped")

    # -- parts

    def _make_messenger(self) -> Messenger:
        seed, link = self._seed, self._link
        login, code = seed.id, passcode(seed.secret)
        if not seed.secret:
            login, code = self._settings.login or seed.id, self._settings.passcode
        endpoint = HostnameEndpoint(self._reactor, *seed.broker) if seed.broker else None
        places = [link.destinations.inbox, link.destinations.everybody]
        vhost = self._settings.vhost
        return Messenger(
            self._reactor, endpoint, login, code, vhost, places, link.up, link.arrived, link.down, link.drained
        )

    def _make_agent(self, chirp_port: int) -> Agent:
        seed, served = self._seed, self._settings.serve
        versions = {"agent": __version__, "python": platform.python_version(), "system": platform.platform()}
        return Agent(
            self._reactor,
            self._journal,
            self._executor,
            self._link.say,
            Identity(seed.id, seed.secret, seed.name, chirp_port, versions, addresses),
            beacon=seed.beacon_interval,
            set_clock=set_clock if seed.set_clock else lambda seconds: None,
            vitals=lambda: read_vitals(served),
        )

    def _open_ports(self) -> dict[str, int]:
        """Listen, and return the numbers of the ports. Without a secret nobody could prove himself at a door."""
        seed, settings = self._seed, self._settings
        try:
            self._chirp = ChirpFactory(settings.serve, seed.chirp_key, self._reactor)
        except ValueError as error:
            raise BadConfiguration(f"the seed's chirpKey cannot be used: {error}") from None
        ports = {"chirp": self._listen(settings.chirp_port, self._chirp)}
        if seed.secret:
            self._door = DoorFactory(self._reactor, seed.secret, self._messenger.adopt)
            ports["door"] = self._listen(settings.door_port, self._door)
        return ports

    def _listen(self, port: int, factory: Factory) -> int:
        try:
            listening = self._reactor.listenTCP(port, factory, interface=self._settings.listen)
        except CannotListenError as error:
            raise PortTaken(f"port {port} cannot be used: {error.socketError}; choose another one") from None
        self._ports.append(listening)
        return int(listening.getHost().port)

    def _tell(self, ports: dict[str, int]) -> None:
        """Say where the ports are: in the state directory, and to whoever gave a descriptor for it."""
        line = json.dumps(ports).encode() + b"\n"
        path = self._settings.state / "ports.json"
        path.with_suffix(".new").write_bytes(line)
        path.with_suffix(".new").replace(path)
        if self._settings.ports_fd is not None:
            os.write(self._settings.ports_fd, line)
            os.close(self._settings.ports_fd)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateDirectoryUnusable(
            f"{directory} cannot be made: {error.strerror}; name another directory with --serve"
        ) from None
