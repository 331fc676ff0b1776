"""The plugin as a whole: machines in STATE_DIR/vmware, each a directory that VMware works in."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vmcontroller.errors import HypervisorFailed, HypervisorMissing
from vmcontroller.hypervisors.common import overlay, processor
from vmcontroller.hypervisors.common.driven import DrivenMachine, Record
from vmcontroller.hypervisors.common.driven_face import DrivenFace
from vmcontroller.hypervisors.common.host import Host, IPluginReactor
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.hypervisors.common.relay import Elsewhere, IRelayReactor, Relay
from vmcontroller.hypervisors.vmware import leases, vmx
from vmcontroller.hypervisors.vmware.drive import VmrunDrive
from vmcontroller.hypervisors.vmware.vmrun import Vmrun
from vmcontroller.images import seed
from vmcontroller.images.store import Base
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms, IMacAddress, IProbe, Suitability
from vmcontroller.machine import MachineSpec

#: Seconds between two looks at machines that run; each is a call of vmrun.
GLANCE = 3.0
_NOT_CLOSED = "VMware's host-only network leaves this computer's own address open to its VMs"


class IVMwareReactor(IPluginReactor, IRelayReactor):
    """What this plugin needs of the reactor."""


@implementer(IHypervisor, IKeepsPrograms, IMacAddress, IProbe)
class VMwareHypervisor(DrivenFace[DrivenMachine]):
    """Machines that VMware runs. ``lease_file`` is where its host-only network's DHCP server writes."""

    name = "vmware"
    formats = ("vmdk",)

    def __init__(
        self,
        reactor: IVMwareReactor,
        state_dir: Path,
        owner: str,
        vmrun: Vmrun | None = None,
        lease_file: Path | None = None,
        glance: float = GLANCE,
    ) -> None:
        self._reactor = reactor
        self._vmrun = vmrun or Vmrun()
        self._leases = lease_file or leases.place()
        super().__init__(Host(reactor), state_dir, owner, glance)

    def probe(self) -> Deferred[Suitability]:
        return self._shared.in_thread(self._probe)

    def _probe(self) -> Suitability:
        try:
            self._open()
        except (HypervisorMissing, HypervisorFailed) as error:
            return Suitability(False, False, str(error), isolated=False)
        able = processor.virtualises()
        words = f"vmrun {self._vmrun.version()} answers" if able else "the processor shows neither VT-x nor AMD-V"
        return Suitability(able, able, f"{words}; {_NOT_CLOSED}", isolated=False)

    def version(self) -> Deferred[str]:
        return self._shared.in_thread(lambda: f"vmrun {self._vmrun.version()}")

    def macAddress(self, vm: str) -> Deferred[str]:
        return self._tell(vm, lambda machine: succeed(vmx.mac_of(self._owner, machine.record.id)))

    # -- what the face asks for

    def _open(self) -> None:
        self._vmrun.check()
        overlay.program()
        if not self._leases.parent.is_dir():
            raise HypervisorMissing(
                f"VMware's host-only network vmnet1 is not set up ({self._leases.parent} is missing);"
                " add it with VMware's network editor, with DHCP"
            )

    def _furnish(self, draft: Path, place: Path, spec: MachineSpec, record: Record, base: Base) -> None:
        overlay.create(base, draft / vmx.DISK, "vmdk")
        seed.write(draft / vmx.SEED, spec.seed)
        vmx.write(draft / vmx.NAME, vmx.settings(record))

    def _known(self, home: Home, record: Record) -> DrivenMachine:
        mac = vmx.mac_of(self._owner, record.id)

        def where() -> Deferred[str | None]:
            return self._shared.in_thread(leases.look_up, self._leases, mac)

        reach = Relay(self._reactor, lambda port: Elsewhere(self._reactor, where, port))
        return DrivenMachine(self._shared, home, record, VmrunDrive(self._vmrun, home.path), reach)
