"""The composition root: every part of the daemon is made and tied to the others here, and nowhere else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from vmcontroller import __version__, access, chirpkeys
from vmcontroller.api import Api
from vmcontroller.api.commands import CommandMethods
from vmcontroller.api.daemon import DaemonMethods
from vmcontroller.api.files import FileMethods
from vmcontroller.api.machines import MachineMethods
from vmcontroller.brokers import LOOPBACK, broker_in_use
from vmcontroller.config import Config
from vmcontroller.controller import Controller
from vmcontroller.door import Doors
from vmcontroller.errors import BrokerFailed, PortTaken
from vmcontroller.expiry import Expiry
from vmcontroller.hypervisors.loader import Factory
from vmcontroller.images.shelf import Shelf
from vmcontroller.leases import Leases
from vmcontroller.ledger import Ledger
from vmcontroller.machines import ON, Machines
from vmcontroller.messaging import Messenger
from vmcontroller.outputs import Outputs
from vmcontroller.post import Post
from vmcontroller.results import Results
from vmcontroller.rpc import RpcSite
from vmcontroller.statedir import StateDirectory
from vmcontroller.transfers import Transfers
from vmcontroller.turns import Turns
from vmcontroller.wakening import Wakening
from vmcontroller.wire.destinations import host_reads
from vmcontroller.wire.words import Who

#: Seconds that the broker has to let the daemon in.
BROKER_PATIENCE = 5.0
#: Seconds in which somebody must open a lease with a daemon that lives while it is leased.
FIRST_LEASE_PATIENCE = 60.0


class Daemon:
    """The host daemon of one state directory. ``stop_asked(save)`` is called when a caller wants it to end."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], float],
        config: Config,
        state: StateDirectory,
        ledger: Ledger,
        make_hypervisor: Factory,
        stop_asked: Callable[[bool], None],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._state = state
        self._stop_asked = stop_asked
        self._started = reactor.seconds()
        self._ports: list[IListeningPort] = []
        self._serving = False
        self._ledger = ledger
        self.id = self._ledger.fact("id", secrets.token_hex(4))
        self._outputs = Outputs(state.commands, self._in_thread, config.min_free_disk)
        self._post = Post(self.id, self._group_of)
        self._controller = Controller(reactor, wall, self._ledger, self._outputs, self._post, grace=config.guests.grace)
        self._post.hear = self._controller.heard
        self._broker = broker_in_use(reactor, self.id, config.broker, self._listen)
        self._doors = Doors(reactor, self._secret_of, self._guest_address, self._broker.connection)
        self._hypervisor = make_hypervisor(reactor, state.path, self.id)
        self._machines = Machines(
            self._hypervisor,
            self._ledger,
            self._controller,
            self._doors,
            make_key=self._make_key,
            admit=self._admit,
            dismiss=self._broker.dismiss,
            seed={"daemon": self.id, "beaconInterval": config.guests.beacon_interval, "broker": ""},
            turns=Turns(config.vms.booting or os.cpu_count() or 1, self._controller.wait_for_guest),
            network_allowed=config.vms.network,
        )
        self._leases = Leases(reactor, self._ledger, self._save, self._last_lease_gone)
        self._transfers = Transfers(self._controller.waiters)
        self._expiry = Expiry(reactor, wall, ledger, self._controller, self._machines, config.results.keep_days)
        self._wakening = Wakening(reactor, wall, self._controller.ask_all)
        self._messenger: Messenger | None = None
        self._why_down = "the broker does not answer"

    # -- what the parts need of each other

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *arguments)

    def _group_of(self, vm: str) -> str | None:
        guest = self._ledger.guest(vm)
        return None if guest is None else guest.group

    def _secret_of(self, vm: str) -> str:
        guest = self._ledger.guest(vm)
        return "" if guest is None else guest.secret

    async def _guest_address(self, vm: str) -> Any:
        return await self._hypervisor.guestAddress(vm)

    async def _make_key(self) -> tuple[str, str]:
        key = await self._in_thread(chirpkeys.make)
        return key.private, key.public

    def _admit(self, vm: str) -> None:
        guest = self._ledger.guest(vm)
        assert guest is not None
        self._broker.admit(access.of_guest(self.id, guest))

    async def _save(self, vm: str) -> None:
        machine = await self._machines.find(vm)
        if machine.state in ON:
            await self._machines.stop(vm, "saveState")

    def _last_lease_gone(self) -> None:
        if self._config.while_leased:
            self._stop_asked(True)

    def _first_lease_due(self) -> None:
        if not self._leases.count():
            self._stop_asked(True)

    # -- life

    async def start(self) -> dict[str, Any]:
        """Begin to serve; returns what stands in daemon.json. What fails is told before anything is half started."""
        await self._connect_broker()
        await self._machines.open()
        self._leases.take_up()
        address = await self._serve()
        self._expiry.start(self._config.guests.grace / 6)
        self._wakening.start()
        if self._config.while_leased:
            self._reactor.callLater(FIRST_LEASE_PATIENCE, self._first_lease_due)
        self._state.announce(address)
        self._serving = True
        return address

    async def _connect_broker(self) -> None:
        """Log in, and be it at the second try: a broker may be starting, too. BrokerFailed, PortTaken."""
        way = await self._broker.open()
        up: Deferred[None] = Deferred()
        self._messenger = Messenger(
            self._reactor,
            way.endpoint,
            way.login,
            way.passcode,
            way.vhost,
            [host_reads(self.id)],
            on_up=lambda: self._broker_up(up),
            on_message=self._post.arrived,
            on_down=self._broker_down,
        )
        self._post.sender = self._messenger
        self._messenger.startService()
        up.addTimeout(BROKER_PATIENCE, self._reactor)
        try:
            await up
        except TimeoutError:
            where = self._config.broker.url
            raise BrokerFailed(f"broker.url {where}: {self._why_down} (for {BROKER_PATIENCE:g} s)") from None

    def _broker_up(self, first: Deferred[None]) -> None:
        if not first.called:
            first.callback(None)
        for group in {guest.group for guest in self._ledger.guests()}:
            self._post.say_all(group, Who())

    def _broker_down(self, reason: str) -> None:
        self._why_down = reason
        self.log.warn("no broker: {reason}", reason=reason)

    async def _serve(self) -> dict[str, Any]:
        secret = secrets.token_urlsafe(24)
        site = RpcSite(self._api().dispatch, secret, self._config.xmlrpc.max_body, self._reactor)
        port = await self._listen(self._config.xmlrpc.port, site, "xmlrpc.port")
        return {
            "url": f"http://vmcontroller:{secret}@{LOOPBACK}:{port}/RPC2",
            "secret": secret,
            "port": port,
            "pid": os.getpid(),
            "id": self.id,
            "version": __version__,
        }

    def _api(self) -> Api:
        results = Results(self._ledger, self._outputs, self._controller.guests)
        facts = {
            "id": self.id,
            "hypervisor": self._config.hypervisor,
            "broker": self._config.broker.url,
            "stateDir": str(self._state.path),
        }
        return Api(
            [
                MachineMethods(self._machines, self._controller, self._leases, self._reactor, self._names_image),
                CommandMethods(self._machines, self._controller, self._ledger, results),
                FileMethods(self._reactor, self._machines, self._ledger, self._transfers),
                DaemonMethods(
                    self._machines,
                    self._controller,
                    self._ledger,
                    self._leases,
                    facts,
                    uptime=lambda: self._reactor.seconds() - self._started,
                    stop=self._stop_asked,
                ),
            ]
        )

    def _names_image(self, image: str) -> bool:
        return bool(Shelf(self._state.images).hash_of(image))

    async def _listen(self, port: int, factory: Any, setting: str) -> int:
        try:
            listening = await TCP4ServerEndpoint(self._reactor, port, interface=LOOPBACK).listen(factory)
        except CannotListenError as error:
            why = getattr(error.socketError, "strerror", None) or error.socketError
            raise PortTaken(
                f"port {port} of {LOOPBACK} cannot be used: {why}; set {setting} to another, or to 0"
            ) from None
        self._ports.append(listening)
        return int(listening.getHost().port)

    async def stop(self, save: bool) -> None:
        """End: no new call is taken, transfers are cancelled, VMs saved or left running, the state directory freed."""
        for port in self._ports:
            await _done(port.stopListening())
        self._leases.stop()
        self._wakening.stop()
        await self._transfers.cancel_all()
        self._controller.close()
        await self._expiry.stop()
        try:
            await self._machines.close(save)
        finally:
            if self._messenger is not None:
                await _done(self._messenger.stopService())
            await self._broker.close()
            self._outputs.close()
            self._close_ledger()
            self._state.release()

    def _close_ledger(self) -> None:
        """A start that failed leaves no new ledger behind."""
        if self._serving:
            self._ledger.close()
        else:
            self._ledger.discard()


async def _done(ending: Deferred[None] | None) -> None:
    """Some parts of Twisted end at once and return None."""
    if ending is not None:
        await ending
