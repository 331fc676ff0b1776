"""The plugin as a whole: machines in STATE_DIR/qemu, made upon images that nobody writes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vmcontroller.errors import BadSize, HypervisorFailed, HypervisorMissing, NetworkRefused
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.face import Face
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.qemu import memory
from vmcontroller.hypervisors.qemu.acceleration import Acceleration, Verdict
from vmcontroller.hypervisors.qemu.engine import Engine
from vmcontroller.hypervisors.qemu.launch import IQemuReactor, Launcher
from vmcontroller.hypervisors.qemu.layers import Layers
from vmcontroller.hypervisors.qemu.machine import QemuMachine
from vmcontroller.hypervisors.qemu.record import Base, Home, Record, mac_address
from vmcontroller.images import seed, store
from vmcontroller.images.store import ImageStore
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
from vmcontroller.machine import MachineSpec

#: The formats that QEMU runs best; others are converted to the first.
FORMATS = ("qcow2", "raw")
_MOST_CPUS = 255


@implementer(IHypervisor, IProbe, IKeepsPrograms, IScreenshot, IMetrics, ICpuCap, IMacAddress)
class QemuHypervisor(Face[QemuMachine]):
    """Machines that QEMU runs: with KVM where a boot has proven that it works, else emulated.

    ``images`` is where images come from. ``acceleration`` decides what machines are run with.
    """

    name = "qemu"

    def __init__(
        self, reactor: IQemuReactor, state_dir: Path, owner: str, images: ImageStore, acceleration: Acceleration
    ) -> None:
        self._host = Host(reactor)
        self._engine = Engine(self._host, Launcher(reactor), acceleration)
        self._images = images
        super().__init__(self._host, state_dir / "qemu", owner)

    def probe(self) -> Deferred[Suitability]:
        return self._host.in_thread(self._probe)

    def _probe(self) -> Suitability:
        try:
            emulator = self._engine.find()
        except (HypervisorMissing, HypervisorFailed) as error:
            return Suitability(False, False, str(error))
        verdict = self._engine.acceleration.look(emulator)
        reason = f"QEMU {emulator.version} with {verdict.accelerator}: {verdict.why}"
        return Suitability(proc.available(), verdict.accelerator == "kvm", reason)

    def version(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._version())

    async def _version(self) -> str:
        verdict = await self._engine.verdict()
        return f"QEMU {self._engine.emulator.version}, {verdict.accelerator}: {verdict.why}"

    def acceleration(self) -> Deferred[Verdict]:
        """What machines are run with, and why. After a boot of the host the first answer may take ten seconds."""
        return Deferred.fromCoroutine(self._engine.verdict())

    def screenshot(self, vm: str) -> Deferred[bytes]:
        return self._tell(vm, lambda machine: machine.screenshot())

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return self._tell(vm, lambda machine: machine.getStats())

    def setCpuCap(self, vm: str, percent: int) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.setCpuCap(percent))

    def macAddress(self, vm: str) -> Deferred[str]:
        return self._tell(vm, lambda machine: succeed(machine.record.mac))

    # -- what the face asks

    async def _prepare(self) -> None:
        if not proc.available():
            raise HypervisorMissing("the hypervisor 'qemu' needs Linux with /proc; choose another hypervisor")
        await self._engine.prepare()

    def _load(self, path: Path) -> QemuMachine:
        return QemuMachine(self._engine, self._images, Home(path), Home(path).load())

    async def _build(self, spec: MachineSpec) -> QemuMachine:
        _check(spec)
        base = await self._images.base(spec.image, FORMATS, spec.progress)
        try:
            record = await self._host.in_thread(self._furnish, spec, base)
        except Exception:
            await self._host.in_thread(self._images.release, spec.id)
            raise
        return QemuMachine(self._engine, self._images, Home(self._folder / spec.id), record)

    def _furnish(self, spec: MachineSpec, base: store.Base) -> Record:
        record = self._record(spec, base)
        with self._draft(spec) as draft:
            self._images.hold(spec.id, base)
            home = Home(draft)
            home.disk.mkdir(0o700)
            home.snapshots.mkdir(0o700)
            Layers(home.disk).add(record.base)
            seed.write(home.seed, spec.seed)
            home.save(record)
        return record

    def _record(self, spec: MachineSpec, base: store.Base) -> Record:
        boot = base.boot
        below = Base(str(base.path), base.format, base.virtual_bytes)
        if boot:
            below = replace(below, kernel=str(boot.kernel), initrd=str(boot.initrd), arguments=boot.arguments)
        mac = mac_address(self._owner, spec.id)
        return replace(Record.of(self._owner, spec), board=self._engine.emulator.board, mac=mac, base=below)

    async def _discard(self, machine: QemuMachine) -> None:
        await super()._discard(machine)
        await self._host.in_thread(self._images.release, machine.record.id)


def _check(spec: MachineSpec) -> None:
    memory.check_size(spec.memory_mb)
    if not 1 <= spec.cpus <= _MOST_CPUS:
        raise BadSize(f"cpus is {spec.cpus}; it must lie between 1 and {_MOST_CPUS}")
    if spec.network:
        raise NetworkRefused(
            "the hypervisor 'qemu' gives no network to a VM: through QEMU's user network its programs would reach the"
            " host's own services on loopback (docs/reference/qemu.md); ask for none"
        )
