"""The plugin as a whole: machines in STATE_DIR/virtualbox, upon images that VirtualBox reads where they lie."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vmcontroller.errors import NetworkRefused, VMControllerError
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.face import Face
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.virtualbox import jobs
from vmcontroller.hypervisors.virtualbox.com import Com, Peer, in_process
from vmcontroller.hypervisors.virtualbox.machine import VirtualBoxMachine
from vmcontroller.hypervisors.virtualbox.reach import IVirtualBoxReactor, Reach
from vmcontroller.hypervisors.virtualbox.record import Home, Record
from vmcontroller.images import seed
from vmcontroller.images.store import Base, ImageStore
from vmcontroller.interfaces import (
    ICpuCap,
    IHypervisor,
    IKeepsPrograms,
    IMacAddress,
    IMetrics,
    IProbe,
    IScreenshot,
    Suitability,
)
from vmcontroller.machine import GuestAddress, Machine, MachineSpec

#: What is used without a copy. A VMDK may have no UUID, and VirtualBox would write one into it.
FORMATS = ("vdi",)
_NO_NETWORK = (
    "VirtualBox opens this computer's loopback to a VM that has a network; make the VM without one, or with another"
    " hypervisor"
)
#: Seconds between two looks at what VirtualBox is doing.
PERIOD = 0.05


@implementer(IHypervisor, IProbe, IKeepsPrograms, IScreenshot, IMetrics, ICpuCap, IMacAddress)
class VirtualBoxHypervisor(Face[VirtualBoxMachine]):
    """Machines of VirtualBox. ``start`` and ``period`` are Com's."""

    name = "virtualbox"

    def __init__(
        self,
        reactor: IVirtualBoxReactor,
        state_dir: Path,
        owner: str,
        start: Callable[[Connection], Peer] = in_process,
        period: float = PERIOD,
    ) -> None:
        self._reactor = reactor
        self._host = Host(reactor)
        self._com = Com(self._host, start, period)
        self._images = ImageStore(state_dir / "images", reactor)
        super().__init__(self._host, state_dir / "virtualbox", owner)

    # -- the whole

    def probe(self) -> Deferred[Suitability]:
        return Deferred.fromCoroutine(self._probe())

    async def _probe(self) -> Suitability:
        try:
            return await self._suitability()
        except VMControllerError as error:
            return Suitability(False, False, str(error))
        finally:
            await self._com.close()

    async def _suitability(self) -> Suitability:
        known = await self._com.ask(jobs.abilities)
        return Suitability(known.works, known.accelerated, known.words)

    def version(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._com.ask(jobs.version))

    async def _prepare(self) -> None:
        await self._com.ask(jobs.version)

    async def _connect(self) -> None:
        await super()._connect()
        await self._drop_removed()

    async def _disconnect(self, stop: bool) -> None:
        await super()._disconnect(stop)
        await self._com.close()

    def machines(self) -> Deferred[list[Machine]]:
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> list[Machine]:
        known = list(self._machines.values())
        labels = await self._com.ask(jobs.states, [machine.record.uuid for machine in known])
        for machine in known:
            await machine.see(labels[machine.record.uuid])
        await self._drop_removed()
        return [machine.record.machine(machine.state) for machine in self._machines.values()]

    async def _drop_removed(self) -> None:
        """Forget what somebody else has removed from VirtualBox; the next connect() clears its directory away."""
        gone = [vm for vm, machine in self._machines.items() if machine.removed]
        for vm in gone:
            del self._machines[vm]
        for vm in gone:
            await self._host.in_thread(self._images.release, vm)

    # -- machines come and go

    def _load(self, path: Path) -> VirtualBoxMachine:
        return self._known(Home(path), Home(path).load())

    def _known(self, home: Home, record: Record) -> VirtualBoxMachine:
        return VirtualBoxMachine(self._host, self._com, home, record, Reach(self._reactor))

    async def _build(self, spec: MachineSpec) -> VirtualBoxMachine:
        if spec.network:
            raise NetworkRefused(_NO_NETWORK)
        base = await self._images.base(spec.image, FORMATS, spec.progress)
        record, home = replace(Record.of(self._owner, spec), uuid=str(uuid.uuid4())), Home(self._folder / spec.id)
        await self._host.in_thread(self._images.hold, spec.id, base)
        try:
            await self._host.in_thread(self._furnish, spec, record)
            await self._register(self._plan(record, home, base), home)
        except Exception:
            await self._host.in_thread(self._images.release, spec.id)
            raise
        return self._known(home, record)

    async def _register(self, plan: jobs.Plan, home: Home) -> None:
        try:
            await self._com.call(jobs.create, plan)
        except Exception:
            await self._host.in_thread(files.discard, home.path, self._owner)
            raise

    async def _discard(self, machine: VirtualBoxMachine) -> None:
        await super()._discard(machine)
        await self._host.in_thread(self._images.release, machine.record.id)

    def _furnish(self, spec: MachineSpec, record: Record) -> None:
        with self._draft(spec) as draft:
            seed.write(Home(draft).seed, spec.seed)
            Home(draft).save(record)

    def _plan(self, record: Record, home: Home, base: Base) -> jobs.Plan:
        return jobs.Plan(
            uuid=record.uuid,
            owner=record.owner,
            title=f"vmcontroller-{record.owner}-{record.id}",
            description=f"{record.name} (group {record.group}), made by VM Controller, which removes it, too.",
            home=home.path,
            base=base.path,
            memory_mb=record.memory_mb,
            cpus=record.cpus,
        )

    # -- verbs of one machine, besides those of every plugin

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        return self._tell(vm, lambda machine: Deferred.fromCoroutine(machine.locate()))

    def screenshot(self, vm: str) -> Deferred[bytes]:
        return self._tell(vm, VirtualBoxMachine.screenshot)

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return self._tell(vm, VirtualBoxMachine.getStats)

    def setCpuCap(self, vm: str, percent: int) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.setCpuCap(percent))

    def macAddress(self, vm: str) -> Deferred[str]:
        return self._tell(vm, VirtualBoxMachine.macAddress)
