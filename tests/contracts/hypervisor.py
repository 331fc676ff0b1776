"""What every hypervisor plugin must pass, whatever it drives: the suite behind docs/reference/plugins.md.

A plugin's test class is ``class TestMine(HypervisorContract, TestCase)`` and says what the suite cannot know: how
to make the plugin, how to pull its plug, how to look into its machines. What it leaves out is skipped, visibly.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from vmcontroller import interfaces
from vmcontroller.errors import BadImage, BadState, SnapshotExists, UnknownSnapshot, UnknownVM, VMExists
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms
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
ODD_NAMES = ["two words", "Müller-Œuvre 虚拟机", 'it\'s "quoted"', "--help", "$(date) `id` %s {0} ;&|", "x" * 128, "."]
ODD_SNAPSHOTS = [*ODD_NAMES, "..", "a/b", "../../up", "a\\b", ""]

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


class HypervisorContract(TestCase if TYPE_CHECKING else object):
    """Every promise of IHypervisor, and of what the plugin provides besides."""

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

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        """End a running machine from outside, as an accident would."""
        raise SkipTest("this plugin's test cannot make a machine crash")

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        """Start a program in a running machine; what comes back says whether it still runs."""
        raise SkipTest("this plugin's test cannot run a program in a machine")

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        """Put a text on the disk of a running machine."""
        raise SkipTest("this plugin's test cannot write on a machine's disk")

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        """The text that is on the disk of a running machine; "" when there is none."""
        raise SkipTest("this plugin's test cannot read from a machine's disk")

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

    async def connected(self, state_dir: Path, owner: str = "owner-one") -> IHypervisor:
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

    # -- shape

    async def test_shape(self) -> None:
        """It provides every method of IHypervisor, and of each other interface that it claims."""
        verifyObject(IHypervisor, self.hypervisor)
        for optional in ("IKeepsPrograms", "IScreenshot", "IMetrics", "ICpuCap", "IMacAddress"):
            interface = getattr(interfaces, optional)
            if interface.providedBy(self.hypervisor):
                verifyObject(interface, self.hypervisor)

    async def test_version(self) -> None:
        """The version is a text."""
        self.assertRegex(await self.soon(self.hypervisor.version()), r"\S")

    # -- the life of a machine

    async def test_created(self) -> None:
        """A new machine is listed with what it was made from, is PoweredOff and has no address."""
        vm = await self.create(name="worker 1", group="task-7")
        (machine,) = await self.soon(self.hypervisor.machines())
        self.assertEqual((machine.id, machine.name, machine.group), (vm, "worker 1", "task-7"))
        self.assertEqual(machine.state, S.POWERED_OFF)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))

    async def test_start_and_power_off(self) -> None:
        """A started machine is Running and its guest is reached; one whose power is off has no address."""
        vm = await self.create()
        starting = self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.STARTING, S.RUNNING)
        await starting
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        await self.soon(self.hypervisor.powerOff(vm))
        await self.assertState(vm, S.POWERED_OFF)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))

    async def test_power_off_ends_programs(self) -> None:
        """When powerOff has fired no program of the machine runs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        self.assertTrue(await runs())
        await self.soon(self.hypervisor.powerOff(vm))
        self.assertFalse(await runs())

    async def test_shutdown(self) -> None:
        """The guest obeys the power button: the machine becomes PoweredOff, not Aborted."""
        vm = await self.running()
        await self.knock()
        await self.soon(self.hypervisor.shutdown(vm))
        await self.until(vm, S.POWERED_OFF)

    async def test_reset(self) -> None:
        """After a reset the machine runs anew, without its programs, and its disk is as it was."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.reset(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        self.assertFalse(await runs())
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")

    async def test_pause_and_resume(self) -> None:
        """A Paused machine goes on where it was."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.pause(vm))
        await self.assertState(vm, S.PAUSED)
        await self.soon(self.hypervisor.resume(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        self.assertTrue(await runs())

    async def test_power_off_while_paused(self) -> None:
        """A Paused machine can be switched off, and starts again."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.powerOff(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()

    async def test_save_and_start(self) -> None:
        """A Saved machine starts with its disk, and with its programs if the plugin keeps programs."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.assertState(vm, S.SAVED)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")
        self.assertEqual(await runs(), IKeepsPrograms.providedBy(self.hypervisor))

    async def test_save_while_paused(self) -> None:
        """A Paused machine can be saved, and runs when it is started."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.saveState(vm))
        await self.assertState(vm, S.SAVED)
        await self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_discard_state(self) -> None:
        """Without its saved state a machine is PoweredOff and starts without its programs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.soon(self.hypervisor.discardState(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertFalse(await runs())

    async def test_crash(self) -> None:
        """A machine that ends by itself is Aborted, has no address, leaves no program, and starts again."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
        self.assertFalse(await runs())
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))
        await self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_crash_while_paused(self) -> None:
        """A Paused machine that ends is Aborted, too."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)

    async def test_remove(self) -> None:
        """A machine can be removed in any state, and its id and name are free then."""
        ways: list[list[str]] = [[], ["start"], ["start", "pause"], ["start", "saveState"]]
        for verbs in ways:
            vm = await self.create()
            for name in verbs:
                await self.soon(getattr(self.hypervisor, name)(vm))
            await self.soon(self.hypervisor.removeVM(vm))
            self.assertEqual(await self.soon(self.hypervisor.machines()), [])

    # -- what is refused

    async def test_unknown_vm(self) -> None:
        """Every verb fails with UnknownVM for an id that no machine has, or has no more."""
        await self.soon(self.hypervisor.removeVM(await self.create(2)))
        for vm in ("nobody", "vm-2"):
            for name in [*VERBS, "removeVM", "listSnapshots", "guestAddress"]:
                await self.fails(UnknownVM, getattr(self.hypervisor, name)(vm))
            await self.fails(UnknownVM, self.hypervisor.takeSnapshot(vm, "s", ""))
            await self.fails(UnknownVM, self.hypervisor.restoreSnapshot(vm, "s"))
            await self.fails(UnknownVM, self.hypervisor.deleteSnapshot(vm, "s"))

    async def refuses(self, vm: str, state: MachineState) -> None:
        await self.assertState(vm, state)
        for name, allowed in VERBS.items():
            if state not in allowed:
                await self.fails(BadState, getattr(self.hypervisor, name)(vm))
        if state not in OFF:
            await self.fails(BadState, self.hypervisor.restoreSnapshot(vm, "s"))
        await self.assertState(vm, state)

    async def test_bad_states(self) -> None:
        """Every verb fails with BadState in the states that do not allow it, and changes nothing."""
        vm = await self.create()
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        await self.refuses(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.refuses(vm, S.RUNNING)
        await self.knock()
        await self.soon(self.hypervisor.pause(vm))
        await self.refuses(vm, S.PAUSED)
        await self.soon(self.hypervisor.saveState(vm))
        await self.refuses(vm, S.SAVED)

    async def test_bad_states_after_crash(self) -> None:
        """An Aborted machine is refused what a PoweredOff one is refused."""
        vm = await self.running()
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
        await self.refuses(vm, S.ABORTED)

    async def test_exists(self) -> None:
        """An id or a name that is taken is refused, also when both are asked for at once."""
        await self.create()
        await self.fails(VMExists, self.hypervisor.createVM(self.spec(1, name="another name")))
        await self.fails(VMExists, self.hypervisor.createVM(self.spec(2, name="VM 1")))
        twice = [self.hypervisor.createVM(self.spec(3)), self.hypervisor.createVM(self.spec(3))]
        results = await self.soon(DeferredList(twice, consumeErrors=True))
        self.assertEqual([result.type for made, result in results if not made], [VMExists])
        machines = await self.soon(self.hypervisor.machines())
        self.assertEqual({(machine.id, machine.name) for machine in machines}, {("vm-1", "VM 1"), ("vm-3", "VM 3")})

    async def test_bad_image(self) -> None:
        """From a bad image no machine is made, and the next attempt with a good one succeeds."""
        await self.fails(BadImage, self.hypervisor.createVM(self.spec(image=self.bad_image)))
        self.assertEqual(await self.soon(self.hypervisor.machines()), [])
        await self.create()

    # -- several things at once

    async def test_one_verb_at_a_time(self) -> None:
        """Verbs that are said at once are obeyed one after the other."""
        vm = await self.create()
        start, second, power_off = (getattr(self.hypervisor, name)(vm) for name in ("start", "start", "powerOff"))
        await self.fails(BadState, second)
        await gatherResults([self.soon(start), self.soon(power_off)])
        await self.assertState(vm, S.POWERED_OFF)

    async def test_many(self) -> None:
        """Many machines start, run and stop side by side, each with ports of its own."""
        numbers = range(self.many)
        vms = await gatherResults([Deferred.fromCoroutine(self.running(number)) for number in numbers])
        addresses = [await self.soon(self.hypervisor.guestAddress(vm)) for vm in vms]
        ports = {(address.host, port) for address in addresses for port in (address.door_port, address.chirp_port)}
        self.assertEqual(len(ports), 2 * self.many)
        await gatherResults([Deferred.fromCoroutine(self.knock(vm)) for vm in vms])
        await self.soon(gatherResults([self.hypervisor.powerOff(vm) for vm in vms]))

    async def test_odd_names(self) -> None:
        """A name may hold spaces, quotes, any script and what a shell would take for a command."""
        for number, name in enumerate(ODD_NAMES):
            await self.create(number, name=name)
        await self.again()
        machines = await self.soon(self.hypervisor.machines())
        self.assertEqual(sorted(machine.name for machine in machines), sorted(ODD_NAMES))
        await self.soon(self.hypervisor.start("vm-2"))
        await self.knock("vm-2")

    async def test_two_owners(self) -> None:
        """Two daemons neither see nor touch each other's machines, though these have the same id and name."""
        other = await self.connected(self.directory(), "owner-two")
        vm = await self.running()
        self.assertEqual(await self.soon(other.machines()), [])
        await self.fails(UnknownVM, other.powerOff(vm))
        await self.soon(other.createVM(self.spec()))
        await self.soon(other.start(vm))
        await self.soon(other.removeVM(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    # -- snapshots

    async def names(self, vm: str) -> list[str]:
        return [snapshot.name for snapshot in await self.soon(self.hypervisor.listSnapshots(vm))]

    async def test_snapshots_are_listed(self) -> None:
        """Snapshots are listed oldest first, with description and time."""
        vm = await self.create()
        self.assertEqual(await self.names(vm), [])
        before = time.time()
        for name in ("one", "two", "three"):
            await self.soon(self.hypervisor.takeSnapshot(vm, name, f"the {name}"))
        found = await self.soon(self.hypervisor.listSnapshots(vm))
        self.assertEqual([(s.name, s.description) for s in found], [(n, f"the {n}") for n in ("one", "two", "three")])
        for snapshot in found:
            self.assertTrue(before - 2 <= snapshot.taken <= time.time() + 2, snapshot.taken)

    async def test_snapshot_brings_back_the_disk(self) -> None:
        """A restored machine has the disk of the snapshot, and its programs if the plugin keeps programs."""
        keeps = IKeepsPrograms.providedBy(self.hypervisor)
        vm = await self.running()
        await self.write(self.hypervisor, vm, "first")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        await self.assertState(vm, S.RUNNING)
        self.assertTrue(await runs())
        await self.write(self.hypervisor, vm, "second")
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "s"))
        await self.assertState(vm, S.SAVED if keeps else S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "first")
        self.assertEqual(await runs(), keeps)

    async def test_snapshot_is_restored_twice(self) -> None:
        """What runs after a restore does not change the snapshot."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "first")
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        for _ in range(2):
            await self.soon(self.hypervisor.powerOff(vm))
            await self.soon(self.hypervisor.restoreSnapshot(vm, "s"))
            await self.soon(self.hypervisor.start(vm))
            await self.knock()
            self.assertEqual(await self.read(self.hypervisor, vm), "first")
            await self.write(self.hypervisor, vm, "second")

    async def test_snapshot_in_any_state(self) -> None:
        """A snapshot leaves the machine in the state that it was in."""
        vm = await self.create()
        for number, (verb, state) in enumerate([("", S.POWERED_OFF), ("start", S.RUNNING), ("pause", S.PAUSED)]):
            if verb:
                await self.soon(getattr(self.hypervisor, verb)(vm))
            await self.soon(self.hypervisor.takeSnapshot(vm, f"s{number}", ""))
            await self.assertState(vm, state)
        await self.soon(self.hypervisor.resume(vm))
        await self.knock()

    async def test_snapshot_refusals(self) -> None:
        """A name that is taken and one that is unknown are refused, and nothing is changed."""
        vm = await self.create()
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", "first"))
        await self.fails(SnapshotExists, self.hypervisor.takeSnapshot(vm, "s", "second"))
        await self.fails(UnknownSnapshot, self.hypervisor.restoreSnapshot(vm, "other"))
        await self.fails(UnknownSnapshot, self.hypervisor.deleteSnapshot(vm, "other"))
        (snapshot,) = await self.soon(self.hypervisor.listSnapshots(vm))
        self.assertEqual(snapshot.description, "first")
        await self.assertState(vm, S.POWERED_OFF)

    async def test_snapshot_deleted(self) -> None:
        """Deleting one snapshot leaves the others whole, and its name is free."""
        vm = await self.running()
        for name in ("one", "two", "three"):
            await self.write(self.hypervisor, vm, name)
            await self.soon(self.hypervisor.takeSnapshot(vm, name, ""))
        await self.soon(self.hypervisor.deleteSnapshot(vm, "two"))
        self.assertEqual(await self.names(vm), ["one", "three"])
        await self.soon(self.hypervisor.takeSnapshot(vm, "two", ""))
        self.assertEqual(await self.names(vm), ["one", "three", "two"])
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "one"))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "one")

    async def test_odd_snapshot_names(self) -> None:
        """Any text can name a snapshot; none leads out of its place, and no two are taken for one."""
        vm = await self.create()
        for name in ODD_SNAPSHOTS:
            await self.soon(self.hypervisor.takeSnapshot(vm, name, name))
        await self.again()
        self.assertEqual(await self.names(vm), ODD_SNAPSHOTS)
        for name in ODD_SNAPSHOTS:
            await self.soon(self.hypervisor.restoreSnapshot(vm, name))
            await self.soon(self.hypervisor.deleteSnapshot(vm, name))
        self.assertEqual(await self.names(vm), [])

    # -- the daemon goes, the machines stay

    async def test_found_again(self) -> None:
        """The next daemon finds every machine as the last one left it, the running one running all the while."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.create(2)
        await self.soon(self.hypervisor.takeSnapshot("vm-2", "s", ""))
        await self.soon(self.hypervisor.saveState(await self.running(3)))
        await self.soon(self.hypervisor.pause(await self.running(4)))
        before = await self.soon(self.hypervisor.machines())
        await self.again()
        after = await self.soon(self.hypervisor.machines())
        self.assertEqual(sorted(after, key=str), sorted(before, key=str))
        self.assertEqual(await self.names("vm-2"), ["s"])
        self.assertTrue(await runs())
        await self.knock()
        await self.soon(self.hypervisor.resume("vm-4"))
        await self.knock("vm-4")

    async def test_found_again_and_watched(self) -> None:
        """A machine that the last daemon started obeys this one, and its end is noticed."""
        vm = await self.running()
        await self.again()
        await self.soon(self.hypervisor.reset(vm))
        await self.again()
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)

    async def test_crash_while_nobody_looks(self) -> None:
        """A machine that ended between two daemons is Aborted."""
        vm = await self.running()
        self.made.remove(self.hypervisor)
        await self.soon(self.hypervisor.disconnect(False))
        await self.crash(self.hypervisor, vm)
        self.hypervisor = await self.connected(self.state_dir)
        await self.assertState(vm, S.ABORTED)

    async def test_disconnect_and_stop(self) -> None:
        """With stop no machine runs on: each is Saved or PoweredOff."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.create(2)
        await self.again(stop=True)
        await self.assertState(vm, S.SAVED, S.POWERED_OFF)
        await self.assertState("vm-2", S.POWERED_OFF)
        self.assertFalse(await runs())

    # -- what only some can do

    async def test_metrics(self) -> None:
        """A machine's use of processor and memory are numbers, and a running one uses memory."""
        self.needs(interfaces.IMetrics)
        vm = await self.running()
        stats = await self.soon(self.hypervisor.getStats(vm))
        self.assertGreaterEqual(stats["cpuSeconds"], 0.0)
        self.assertGreater(stats["memoryBytes"], 0)
        await self.fails(UnknownVM, self.hypervisor.getStats("nobody"))

    async def test_screenshot(self) -> None:
        """The screen of a running machine is a PNG picture."""
        self.needs(interfaces.IScreenshot)
        picture = await self.soon(self.hypervisor.screenshot(await self.running()))
        self.assertTrue(picture.startswith(b"\x89PNG\r\n\x1a\n"))
        await self.fails(UnknownVM, self.hypervisor.screenshot("nobody"))

    async def test_cpu_cap(self) -> None:
        """A running machine can be held to a share of the processors."""
        self.needs(interfaces.ICpuCap)
        vm = await self.running()
        await self.soon(self.hypervisor.setCpuCap(vm, 50))
        await self.soon(self.hypervisor.setCpuCap(vm, 100))
        await self.fails(UnknownVM, self.hypervisor.setCpuCap("nobody", 50))

    async def test_mac_address(self) -> None:
        """Each machine has a network card's address of its own."""
        self.needs(interfaces.IMacAddress)
        found = [await self.soon(self.hypervisor.macAddress(await self.create(number))) for number in (1, 2)]
        for address in found:
            self.assertRegex(address, r"\A[0-9A-F]{2}(:[0-9A-F]{2}){5}\Z")
        self.assertNotEqual(*found)

    def needs(self, interface: Any) -> None:
        if not interface.providedBy(self.hypervisor):
            raise SkipTest(f"this plugin does not provide {interface.__name__}")
