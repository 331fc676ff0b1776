"""Dials the guests: connects to each one's door, proves, and splices the connection to the broker.

docs/reference/words.md says why the host dials. One ``Line`` per VM keeps trying until it is dropped. It does not wait
for a try that hangs: a hypervisor's user network takes a connection although its guest has no network yet, loses the
first packet, and repeats it after seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from vmcontroller.machine import GuestAddress
from vmcontroller.wire.door import DaemonSide, DoorRefused

#: Seconds for the three lines, and between two tries: the first wait and the longest.
HANDSHAKE_TIMEOUT = 10.0
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0
#: Each wait to the one before: whoever takes long to boot is met soon, in proportion, after that.
GROWTH = 1.05
#: How many tries may be open side by side.
TRIES = 4

#: Gives the broker's side of a new connection: bytes that it writes go to the guest.
OpenBroker = Callable[[], IProtocol]


class DoorProtocol(Protocol):
    """Three lines, then every octet goes to the broker's protocol and back.

    ``heard`` fires before the first octets are answered, ``proved`` after the three lines; both hang up when they are
    cancelled.
    """

    def __init__(self, secret: str, open_broker: OpenBroker) -> None:
        self._side = DaemonSide(secret)
        self._open_broker = open_broker
        self._broker: IProtocol | None = None
        self.heard: Deferred[None] = Deferred(self._give_up)
        self.proved: Deferred[None] = Deferred(lambda _: self.hang_up())
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if self._broker is not None:
            self._broker.dataReceived(data)
            return
        assert self.transport is not None
        if not self.heard.called:
            self.heard.callback(None)
        try:
            answer = self._side.feed(data)
        except DoorRefused as error:
            self._refuse(error)
            return
        if answer:
            self.transport.write(answer)
        if self._side.proved:
            self._splice()

    def _refuse(self, error: DoorRefused) -> None:
        self.hang_up()
        if not self.proved.called:
            self.proved.errback(Failure(error))

    def _give_up(self, _: Deferred[None]) -> None:
        self.proved.addErrback(lambda _: None)  # Nobody will wait for it.
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection at once."""
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]

    def _splice(self) -> None:
        assert self.transport is not None
        self._broker = self._open_broker()
        self._broker.makeConnection(self.transport)
        self.proved.callback(None)
        if self._side.leftover:
            self._broker.dataReceived(self._side.leftover)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._broker is not None:
            self._broker.connectionLost(reason)
        waiting = self.proved if self.heard.called else self.heard
        if not waiting.called:
            waiting.errback(Failure(ConnectionDone()))
        self.lost.callback(None)


class Line:
    """The connection to one VM's door, made anew whenever it is lost.

    Tries are begun one after another and go on side by side. The first whose door says anything is the connection, and
    the others are hung up before it is answered: a guest never sees two proofs.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        vm: str,
        secret: str,
        address: Callable[[str], Awaitable[GuestAddress | None]],
        open_broker: OpenBroker,
    ) -> None:
        self._reactor = reactor
        self._vm = vm
        self._secret = secret
        self._address = address
        self._open_broker = open_broker
        self._tries: list[Deferred[DoorProtocol]] = []
        self._connection: DoorProtocol | None = None
        self._wait: Deferred[None] | None = None
        self._running: Deferred[None] | None = None
        self._stopped = False
        self._trouble = ""

    def open(self) -> None:
        """Connect, now; if it waits for its next try, the wait is over."""
        if self._running is None:
            self._running = ensureDeferred(self._keep())
            self._running.addErrback(self._broke)
        elif not self._tries:
            self._go_on()

    def _go_on(self) -> None:
        """End the pause, if there is one."""
        if self._wait is not None:
            self._wait.cancel()

    def _broke(self, failure: Failure) -> None:
        self.log.failure("the line to {vm} broke", failure, vm=self._vm)

    def close(self) -> None:
        """Hang up, or give up to connect, and stay away."""
        self._stopped = True
        self._drop_tries()
        if self._connection is not None:
            self._connection.hang_up()
        elif self._running is not None:
            self._running.cancel()

    async def _keep(self) -> None:
        """Ever more seldom while nothing comes of it; a connection that breaks at once is nothing, too."""
        wait = FIRST_WAIT
        while not self._stopped:
            if self._connection is None:
                await self._begin()
            elif await self._stay(self._connection) > LONGEST_WAIT:
                wait = FIRST_WAIT
            if self._connection is None and not self._stopped:
                await self._pause(wait)
                wait = min(GROWTH * wait, LONGEST_WAIT)

    async def _pause(self, seconds: float) -> None:
        self._wait = Deferred()
        call = self._reactor.callLater(seconds, self._wait.callback, None)
        try:
            await self._wait
        except CancelledError:
            call.cancel()
        finally:
            self._wait = None

    # -- tries

    async def _begin(self) -> None:
        """Try once more, where the guest is known to be."""
        try:
            address = await self._address(self._vm)
        except Exception:
            self._tell(Failure())
        else:
            if address is not None and self._connection is None:
                self._begin_at(address)

    def _begin_at(self, address: GuestAddress) -> None:
        """The oldest try stays, for a guest that is only slow; of the others the oldest gives way."""
        if len(self._tries) == TRIES:
            self._tries[1].cancel()
        trying = ensureDeferred(self._try(address))
        self._tries.append(trying)
        trying.addBoth(self._tried, trying).addCallbacks(self._found, self._tell)

    async def _try(self, address: GuestAddress) -> DoorProtocol:
        """Connect, and wait until the door says something."""
        endpoint = HostnameEndpoint(self._reactor, address.host, address.door_port, timeout=HANDSHAKE_TIMEOUT)
        protocol = DoorProtocol(self._secret, self._open_broker)
        await connectProtocol(endpoint, protocol)
        await protocol.heard.addTimeout(HANDSHAKE_TIMEOUT, self._reactor, _too_slow)
        return protocol

    def _tried(self, outcome: Any, trying: Deferred[DoorProtocol]) -> Any:
        self._tries.remove(trying)
        return outcome

    def _found(self, connection: DoorProtocol) -> None:
        self._connection = connection
        self._drop_tries()
        self._go_on()

    def _drop_tries(self) -> None:
        for trying in list(self._tries):
            trying.cancel()

    async def _stay(self, connection: DoorProtocol) -> float:
        """Prove, and stay until the connection is lost: for so many seconds the guest, proved, could speak."""
        try:
            await connection.proved.addTimeout(HANDSHAKE_TIMEOUT, self._reactor, _too_slow)
            self._trouble, begun = "", self._reactor.seconds()
            await connection.lost
        except Exception:
            self._tell(Failure())
            return 0.0
        else:
            return float(self._reactor.seconds() - begun)
        finally:
            self._connection = None

    def _tell(self, failure: Failure) -> None:
        """Once for each kind of trouble: a VM that boots is dialled many times."""
        trouble, gave_way = failure.getErrorMessage(), failure.check(CancelledError, ConnectingCancelledError)
        if not self._stopped and not gave_way and trouble != self._trouble:
            self._trouble = trouble
            self.log.info("{vm} cannot be reached yet: {error}", vm=self._vm, error=trouble)


def _too_slow(_: object, timeout: float) -> None:
    raise DoorRefused(f"its door said nothing for {timeout:g} s")


class Doors:
    """One line per VM that runs."""

    def __init__(
        self,
        reactor: Any,
        secret_of: Callable[[str], str],
        address: Callable[[str], Awaitable[GuestAddress | None]],
        open_broker: OpenBroker,
    ) -> None:
        self._reactor = reactor
        self._secret_of = secret_of
        self._address = address
        self._open_broker = open_broker
        self._lines: dict[str, Line] = {}

    def dial(self, vm: str) -> None:
        """This VM runs: connect, and connect again whenever the connection is lost."""
        if vm not in self._lines:
            self._lines[vm] = Line(self._reactor, vm, self._secret_of(vm), self._address, self._open_broker)
        self._lines[vm].open()

    def drop(self, vm: str) -> None:
        """This VM does not run: let go."""
        line = self._lines.pop(vm, None)
        if line is not None:
            line.close()
