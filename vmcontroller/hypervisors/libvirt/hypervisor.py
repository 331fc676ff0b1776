"""The plugin as a whole: machines in STATE_DIR/libvirt, domains in whatever libvirt leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from vmcontroller.errors import HypervisorMissing, NetworkRefused
from vmcontroller.hypervisors.common import files, overlay
from vmcontroller.hypervisors.common.face import Face
from vmcontroller.hypervisors.common.host import Host, IPluginReactor
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.hypervisors.libvirt import dialect
from vmcontroller.hypervisors.libvirt.definition import Parts, domain_xml, mac_of, uuid_of
from vmcontroller.hypervisors.libvirt.domain import Domain
from vmcontroller.hypervisors.libvirt.link import Link, connect
from vmcontroller.hypervisors.libvirt.machine import OFF, LibvirtMachine, Record, definition
from vmcontroller.hypervisors.libvirt.reach import ByQemu, ByRelay
from vmcontroller.images import seed
from vmcontroller.images.store import Base, ImageStore
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms, IMacAddress, IMetrics, IProbe, IScreenshot, Suitability
from vmcontroller.machine import MachineSpec

#: Seconds between two looks at machines that run.
GLANCE = 1.0
_DISK, _SEED = "disk.qcow2", "seed.iso"


class ILibvirtReactor(IPluginReactor, IReactorTCP):
    """What this plugin needs of the reactor."""


@implementer(IHypervisor, IKeepsPrograms, IMacAddress, IMetrics, IProbe, IScreenshot)
class LibvirtHypervisor(Face[LibvirtMachine]):
    """Machines that are libvirt's domains. ``uri`` is as in libvirt.open; None is libvirt's own default."""

    name = "libvirt"

    def __init__(self, reactor: ILibvirtReactor, state_dir: Path, owner: str, uri: str | None = None) -> None:
        self._reactor = reactor
        self._host = Host(reactor)
        self._uri = uri
        self._link = Link(uri)
        self._images = ImageStore(state_dir / "images", reactor)
        self._dialect = dialect.TEST
        self._confined = False
        self._glances = LoopingCall(self._glance)
        self._glances.clock = reactor
        super().__init__(self._host, state_dir / self.name, owner)

    def probe(self) -> Deferred[Suitability]:
        return self._host.in_thread(self._probe)

    def _probe(self) -> Suitability:
        try:
            overlay.program()
            connection = connect(self._uri)
        except HypervisorMissing as error:
            return Suitability(False, False, str(error))
        try:
            return dialect.suitability(connection)
        finally:
            connection.close()

    def version(self) -> Deferred[str]:
        return self._host.in_thread(self._version)

    def _version(self) -> str:
        library, behind = self._link.run(lambda connection: (connection.getLibVersion(), connection.getVersion()))
        return f"{_dotted(library)} with {self._dialect.title} {_dotted(behind)}"

    def macAddress(self, vm: str) -> Deferred[str]:
        return self._tell(vm, lambda machine: succeed(mac_of(self._owner, machine.record.id)))

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return self._tell(vm, LibvirtMachine.getStats)

    def screenshot(self, vm: str) -> Deferred[bytes]:
        return self._tell(vm, LibvirtMachine.screenshot)

    # -- what the face asks for

    async def _prepare(self) -> None:
        await self._host.in_thread(self._open)
        self._glances.start(GLANCE, now=False)

    def _open(self) -> None:
        overlay.program()
        self._link.open()
        self._dialect = self._link.run(dialect.spoken)
        self._confined = self._link.run(_knows_users)

    async def _disconnect(self, stop: bool) -> None:
        if self._glances.running:
            self._glances.stop()
        await super()._disconnect(stop)
        await self._host.in_thread(self._link.close)

    def _load(self, path: Path) -> LibvirtMachine:
        return self._known(Home(path), Record.parse(Home(path).text()))

    async def _build(self, spec: MachineSpec) -> LibvirtMachine:
        if spec.network:
            raise NetworkRefused(
                f"{spec.name} asks for a network; through libvirt a guest could reach the host's own ports then:"
                " choose another hypervisor, or do without"
            )
        base = await self._images.base(spec.image, ("qcow2", "raw"))
        record = Record.of(self._owner, spec)
        machine = self._known(Home(self._folder / spec.id), record)
        try:
            await self._host.in_thread(self._furnish, spec, record, base)
            await self._define(machine)
        except BaseException:
            await self._host.in_thread(self._images.release, spec.id)
            raise
        return machine

    def _furnish(self, spec: MachineSpec, record: Record, base: Base) -> None:
        place = self._folder / spec.id
        with self._draft(spec) as draft:
            self._images.hold(spec.id, base)
            overlay.create(base, draft / _DISK, "qcow2")
            seed.write(draft / _SEED, spec.seed)
            parts = Parts(place / _DISK, place / _SEED, base.boot)
            files.write(definition(Home(draft)), domain_xml(record, self._dialect, parts, self._confined))
            Home(draft).save(record)

    async def _define(self, machine: LibvirtMachine) -> None:
        try:
            await machine.recover()
        except BaseException:
            await self._host.in_thread(files.discard, machine.home.path, self._owner)
            raise

    def _known(self, home: Home, record: Record) -> LibvirtMachine:
        domain = Domain(self._link, uuid_of(self._owner, record.id))
        mac = mac_of(self._owner, record.id)
        by_qemu = self._dialect.forwards
        reach = ByQemu(self._host, domain) if by_qemu else ByRelay(self._host, self._reactor, domain, mac)
        return LibvirtMachine(self._host, home, record, domain, reach)

    async def _remove(self, vm: str) -> None:
        await super()._remove(vm)
        await self._host.in_thread(self._images.release, vm)

    # -- what happens by itself

    async def _glance(self) -> None:
        """Look at each machine that could have changed; one that is busy is looked at the next time."""
        idle = [machine for machine in self._machines.values() if not machine.lock.locked]
        await self._tell_all([machine for machine in idle if machine.record.state not in OFF], LibvirtMachine.look)


def _knows_users(connection: Any) -> bool:
    """Whether the driver can run a domain as another user than its own."""
    models = fromstring(connection.getCapabilities()).iterfind("host/secmodel/model")
    return "dac" in [model.text for model in models]


def _dotted(number: int) -> str:
    """libvirt's way to write a version as a number."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
