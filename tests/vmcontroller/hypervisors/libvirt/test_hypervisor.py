"""What others do to our domains, and what is refused; on libvirt's test driver."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector
from tests.folders import folder
from vmcontroller.errors import HypervisorMissing, NetworkRefused, UnknownVM
from vmcontroller.hypervisors import load
from vmcontroller.hypervisors.libvirt.definition import uuid_of
from vmcontroller.hypervisors.libvirt.hypervisor import LibvirtHypervisor
from vmcontroller.machine import MachineSpec, MachineState

libvirt: Any = pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")

S = MachineState
URI = "test:///default"


class TestLibvirt(TestCase):
    """One machine, called vm."""

    timeout = 60

    async def setUp(self) -> None:
        self.connection = libvirt.open(URI)
        self.addCleanup(self.connection.close)
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(shutil.rmtree, self.root)
        boot_sector.write(self.root / "disk.raw")
        self.spec = MachineSpec("vm", "VM", "g", image=str(self.root / "disk.raw"))
        self.hypervisor = await self.connected()
        self.addCleanup(self.clean)
        await self.hypervisor.createVM(self.spec)

    async def connected(self) -> LibvirtHypervisor:
        hypervisor = LibvirtHypervisor(reactor, self.root, "owner", URI)
        await hypervisor.connect()
        return hypervisor

    async def clean(self) -> None:
        for machine in await self.hypervisor.machines():
            await self.hypervisor.removeVM(machine.id)
        await self.hypervisor.disconnect(False)
        self.assertEqual([domain.name() for domain in self.connection.listAllDomains()], ["test"])

    @property
    def domain(self) -> Any:
        return self.connection.lookupByUUIDString(uuid_of("owner", "vm"))

    async def state(self) -> MachineState:
        (machine,) = await self.hypervisor.machines()
        return machine.state

    async def until(self, state: MachineState) -> None:
        while await self.state() is not state:
            await deferLater(reactor, 0.05)

    async def test_paused_by_another(self) -> None:
        """What somebody does with virsh is noticed."""
        await self.hypervisor.start("vm")
        self.domain.suspend()
        await self.until(S.PAUSED)
        self.domain.resume()
        await self.until(S.RUNNING)

    async def test_saved_by_another(self) -> None:
        """A machine that somebody saved starts where it was."""
        await self.hypervisor.start("vm")
        self.domain.managedSave()
        await self.until(S.SAVED)
        await self.hypervisor.start("vm")

    async def test_removed_by_another(self) -> None:
        """Nobody can say what it is then; it can be removed."""
        await self.hypervisor.start("vm")
        self.domain.destroy()
        self.domain.undefine()
        await self.until(S.UNKNOWN)
        with pytest.raises(UnknownVM, match="libvirt does not know the VM"):
            await self.hypervisor.listSnapshots("vm")
        await self.hypervisor.removeVM("vm")

    async def test_removed_while_nobody_looked(self) -> None:
        """The disk is there, so the machine is made known again."""
        await self.hypervisor.disconnect(False)
        self.domain.undefine()
        self.hypervisor = await self.connected()
        await self.hypervisor.start("vm")
        self.assertEqual(await self.state(), S.RUNNING)

    async def test_lost_saved_state(self) -> None:
        """A saved state that somebody threw away is an accident."""
        await self.hypervisor.start("vm")
        await self.hypervisor.saveState("vm")
        await self.hypervisor.disconnect(False)
        self.domain.managedSaveRemove()
        self.hypervisor = await self.connected()
        self.assertEqual(await self.state(), S.ABORTED)

    async def test_snapshots_of_others(self) -> None:
        """They are not ours: not listed, and their names are free."""
        self.domain.snapshotCreateXML("<domainsnapshot><name>s</name></domainsnapshot>")
        self.assertEqual(await self.hypervisor.listSnapshots("vm"), [])
        await self.hypervisor.takeSnapshot("vm", "s", "")
        await self.hypervisor.deleteSnapshot("vm", "s")
        self.domain.snapshotLookupByName("s").delete()

    async def test_network_is_refused(self) -> None:
        """No machine is made that could reach the host."""
        with pytest.raises(NetworkRefused, match="the host could be reached"):
            await self.hypervisor.createVM(MachineSpec("net", "Net", "g", image=self.spec.image, network=True))
        self.assertEqual(len(await self.hypervisor.machines()), 1)

    async def test_guest_address(self) -> None:
        """Where the guest is, libvirt's DHCP server knows; ports are ours all the same."""
        await self.hypervisor.start("vm")
        address = await self.hypervisor.guestAddress("vm")
        assert address is not None
        self.assertNotEqual(address.door_port, address.chirp_port)

    async def test_version(self) -> None:
        """libvirt's own, and that of what it leads to."""
        self.assertRegex(await self.hypervisor.version(), r"^\d+\.\d+\.\d+ with .*test driver")

    async def test_probe(self) -> None:
        """The test driver is not taken for a hypervisor."""
        self.assertFalse((await self.hypervisor.probe()).works)


class TestAbsent(TestCase):
    """No libvirtd."""

    async def test_connect(self) -> None:
        """connect() says what to do, and probe() says the same."""
        nowhere = "qemu+unix:///system?socket=/nowhere/libvirt-sock"
        hypervisor = LibvirtHypervisor(reactor, folder(self), "owner", nowhere)
        with pytest.raises(HypervisorMissing, match="libvirtd"):
            await hypervisor.connect()
        answer = await hypervisor.probe()
        self.assertEqual((answer.works, "libvirtd" in answer.reason), (False, True))

    async def test_loaded_by_name(self) -> None:
        """The plugin has the shape that it claims."""
        self.assertEqual(load("libvirt")(reactor, folder(self), "owner").name, "libvirt")
