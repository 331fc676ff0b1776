"""The plugin as a whole: machines in STATE_DIR/libvirt, domains in whatever libvirt leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vmcontroller.errors import HypervisorMissing
from vmcontroller.hypervisors.common import files, overlay, proc
from vmcontroller.hypervisors.common.driven import Reach, Record
from vmcontroller.hypervisors.common.driven_face import DrivenFace
from vmcontroller.hypervisors.common.host import Host, IPluginReactor
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.hypervisors.common.relay import Elsewhere, IRelayReactor, Relay
from vmcontroller.hypervisors.libvirt import dialect
from vmcontroller.hypervisors.libvirt.definition import Parts, domain_xml, mac_of, uuid_of
from vmcontroller.hypervisors.libvirt.domain import Domain
from vmcontroller.hypervisors.libvirt.link import Link, connect
from vmcontroller.hypervisors.libvirt.machine import LibvirtMachine
from vmcontroller.hypervisors.libvirt.reach import ByQemu
from vmcontroller.hypervisors.libvirt.room import Room
from vmcontroller.images import seed
from vmcontroller.images.store import Base
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms, IMacAddress, IMetrics, IProbe, IScreenshot, Suitability
from vmcontroller.machine import MachineSpec

#: Seconds between two looks at machines that run.
GLANCE = 1.0
_DISK, _SEED, _DEFINITION = "disk.qcow2", "seed.iso", "domain.xml"


class ILibvirtReactor(IPluginReactor, IRelayReactor):
    """What this plugin needs of the reactor."""


@implementer(IHypervisor, IKeepsPrograms, IMacAddress, IMetrics, IProbe, IScreenshot)
class LibvirtHypervisor(DrivenFace[LibvirtMachine]):
    """Machines that are libvirt's domains. ``uri`` is as in libvirt.open; None is libvirt's own default."""

    name = "libvirt"
    formats = ("qcow2", "raw")

    def __init__(self, reactor: ILibvirtReactor, state_dir: Path, owner: str, uri: str | None = None) -> None:
        self._reactor = reactor
        self._host = Host(reactor)
        self._uri = uri
        self._link = Link(uri)
        self._room = Room()
        self._dialect = dialect.TEST
        self._confined = False
        super().__init__(self._host, state_dir, owner, GLANCE)

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

    def _open(self) -> None:
        overlay.program()
        self._link.open()
        self._dialect = self._link.run(dialect.spoken)
        self._confined = self._link.run(_knows_users)

    def _close(self) -> None:
        self._link.close()

    def _furnish(self, draft: Path, place: Path, spec: MachineSpec, record: Record, base: Base) -> None:
        overlay.create(base, draft / _DISK, "qcow2")
        seed.write(draft / _SEED, spec.seed)
        parts = Parts(place / _DISK, place / _SEED, base.boot)
        files.write(draft / _DEFINITION, domain_xml(record, self._dialect, parts, self._confined))

    def _known(self, home: Home, record: Record) -> LibvirtMachine:
        domain = Domain(self._link, uuid_of(self._owner, record.id), home.path / _DEFINITION, self._start)
        return LibvirtMachine(self._host, home, record, domain, self._reach(domain, record))

    def _start(self, domain: Any) -> None:
        """What takes none of this system's memory, or where nobody can tell, its hypervisor has to refuse."""
        if self._dialect.forwards and proc.available():
            self._room.start(domain)
        else:
            domain.create()

    def _reach(self, domain: Domain, record: Record) -> Reach:
        if self._dialect.forwards:
            return ByQemu(self._host, domain)
        mac = mac_of(self._owner, record.id)

        def where() -> Deferred[str | None]:
            return self._host.in_thread(domain.address, mac)

        return Relay(self._reactor, lambda port: Elsewhere(self._reactor, where, port))


def _knows_users(connection: Any) -> bool:
    """Whether the driver can run a domain as another user than its own."""
    models = fromstring(connection.getCapabilities()).iterfind("host/secmodel/model")
    return "dac" in [model.text for model in models]


def _dotted(number: int) -> str:
    """libvirt's way to write a version as a number."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
