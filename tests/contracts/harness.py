"""What the contract suite stands on: what a plugin's test says of its plugin, and the tools that all tests share."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from vmcontroller.interfaces import IHypervisor
from vmcontroller.machine import GuestAddress, MachineSpec, MachineState
from vmcontroller.wire.door import DaemonSide, DoorRefused

S = MachineState
OFF = (S.POWERED_OFF, S.SAVED, S.ABORTED)

#: The verbs that take no more than a VM, each with the states that allow it.
VERBS: dict[str, tuple[MachineState, ...]] = {
    "start": OFF,
    "powerOff": (S.RUNNING, S.PAUSED),
    "shutdown": (S.RUNNING,),
    "reset": (S.RUNNING,),
    "pause": (S.RUNNING,),
    "resume": (S.PAUSED,),
    "saveState": (S.RUNNING, S.PAUSED),
    "discardState": (S.SAVED,),
}
#: The marks of two daemons, in this run alone: another one may go on beside it on the same host.
_RUN = secrets.token_hex(4)
OWNER, OTHER_OWNER = f"owner-one-{_RUN}", f"owner-two-{_RUN}"
ODD_NAMES = ["two words", "Müller-Œuvre 虚拟机", 'it\'s "quoted"', "--help", "$(date) `id` %s {0} ;&|", "x" * 128, "."]

Program = Callable[[], Awaitable[bool]]


class Visitor(Protocol):
    """Knocks at a guest's door as the daemon does. ``inside`` fires when both sides have proved themselves."""

    def __init__(self, secret: str) -> None:
        self.side = DaemonSide(secret)
        self.inside: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        try:
            self.transport.write(self.side.feed(data))
        except DoorRefused as error:
            self.inside.errback(error)
        if self.side.proved and not self.inside.called:
            self.inside.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.inside.called:
            self.inside.errback(reason)


class Harness(TestCase if TYPE_CHECKING else object):
    """A mixin of TestCase: one hypervisor per test, and nothing left of it afterwards."""

    #: Seconds that any one thing may take.
    deadline = 60.0
    #: How many machines are to run side by side.
    many = 5
    #: An image that machines can be made from, and one that they cannot.
    image = ""
    bad_image = "/there is/no such image"
    #: Whether an agent opens its door in the machines that the suite starts.
    has_guest = True

    # -- what a plugin's test says

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        """The plugin, not connected yet."""
        raise NotImplementedError

    def leftovers(self) -> list[str]:
        """What is left of all machines, in words: processes, files, registrations. Asked when all were removed."""
        raise NotImplementedError

    # -- tools

    async def setUp(self) -> None:
        self.timeout = 4 * self.deadline
        self.made: list[IHypervisor] = []
        self.root = tempfile.mkdtemp(prefix="vmc-")
        self.addCleanup(shutil.rmtree, self.root)
        self.addCleanup(self.clean)
        self.state_dir = self.directory()
        self.hypervisor = await self.connected(self.state_dir)

    def directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.root))

    async def connected(self, state_dir: Path, owner: str = OWNER) -> IHypervisor:
        hypervisor = self.make(state_dir, owner)
        await self.soon(hypervisor.connect())
        self.made.append(hypervisor)
        return hypervisor

    async def again(self, stop: bool = False) -> IHypervisor:
        """Another daemon takes over from the first one."""
        self.made.remove(self.hypervisor)
        await self.soon(self.hypervisor.disconnect(stop))
        self.hypervisor = await self.connected(self.state_dir)
        return self.hypervisor

    async def clean(self) -> None:
        for hypervisor in self.made:
            for machine in await self.soon(hypervisor.machines()):
                await self.soon(hypervisor.removeVM(machine.id))
            await self.soon(hypervisor.disconnect(True))
        self.assertEqual(self.leftovers(), [])

    def soon(self, deferred: Deferred[Any]) -> Deferred[Any]:
        return deferred.addTimeout(self.deadline, reactor)

    def spec(self, number: int = 1, **changes: Any) -> MachineSpec:
        who = {"id": f"vm-{number}", "name": f"VM {number}", "group": "main"}
        seed = {**who, "daemon": "contract", "secret": f"secret-{number}"}
        return MachineSpec(**{**who, "image": self.image, "seed": seed, **changes})

    async def create(self, number: int = 1, **changes: Any) -> str:
        spec = self.spec(number, **changes)
        await self.soon(self.hypervisor.createVM(spec))
        return spec.id

    async def running(self, number: int = 1) -> str:
        vm = await self.create(number)
        await self.soon(self.hypervisor.start(vm))
        return vm

    async def state(self, vm: str, hypervisor: IHypervisor | None = None) -> MachineState | None:
        machines = await self.soon((hypervisor or self.hypervisor).machines())
        return {machine.id: machine.state for machine in machines}.get(vm)

    async def assertState(self, vm: str, *wanted: MachineState) -> None:
        self.assertIn(await self.state(vm), wanted)

    async def until(self, vm: str, wanted: MachineState) -> None:
        """Wait until the machine gets into a state by itself."""
        end = time.monotonic() + self.deadline
        while (state := await self.state(vm)) is not wanted:
            self.assertLess(time.monotonic(), end, f"{vm} is {state}, never {wanted}")
            await deferLater(reactor, 0.02)

    async def fails(self, error: type[Exception], call: Deferred[Any]) -> None:
        """It fails with this error, and with a sentence."""
        failure = await self.assertFailure(self.soon(call), error)
        self.assertTrue(str(failure))

    async def knock(self, vm: str = "vm-1", hypervisor: IHypervisor | None = None) -> None:
        """Go through the guest's door, if there is one."""
        address = await self.soon((hypervisor or self.hypervisor).guestAddress(vm))
        self.assertIsInstance(address, GuestAddress)
        if self.has_guest:
            visitor = Visitor(f"secret-{vm.removeprefix('vm-')}")
            endpoint = HostnameEndpoint(reactor, address.host, address.door_port)
            await self.soon(connectProtocol(endpoint, visitor))
            await self.soon(visitor.inside)
            visitor.transport.abortConnection()
