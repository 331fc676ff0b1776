"""What is particular to VMware: what connect() demands, and what others may do to the files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector, stand_in_vmrun
from tests.folders import folder
from vmcontroller.errors import HypervisorMissing, NetworkRefused
from vmcontroller.hypervisors import load
from vmcontroller.hypervisors.common import processor
from vmcontroller.hypervisors.vmware.hypervisor import VMwareHypervisor
from vmcontroller.hypervisors.vmware.vmrun import Vmrun
from vmcontroller.machine import MachineSpec, MachineState

S = MachineState


class TestVMware(TestCase):
    """One machine, called vm."""

    timeout = 60

    async def setUp(self) -> None:
        if not shutil.which("qemu-img"):
            raise SkipTest("qemu-img is missing; on Debian: apt install qemu-utils")
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "registry").mkdir()
        boot_sector.write(self.root / "disk.raw")
        self.spec = MachineSpec("vm", "VM", "g", image=str(self.root / "disk.raw"))
        self.hypervisor = self.made()
        await self.hypervisor.connect()
        self.addCleanup(self.clean)
        await self.hypervisor.createVM(self.spec)
        self.home = self.root / "vmware" / "vm"

    def made(self, lease_file: Path | None = None) -> VMwareHypervisor:
        vmrun = Vmrun((sys.executable, stand_in_vmrun.__file__, str(self.root / "registry")), "ws")
        return VMwareHypervisor(reactor, self.root, "owner", vmrun, lease_file or self.root / "leases", glance=0.2)

    async def clean(self) -> None:
        for machine in await self.hypervisor.machines():
            await self.hypervisor.removeVM(machine.id)
        await self.hypervisor.disconnect(False)

    async def until(self, state: MachineState) -> None:
        while (await self.hypervisor.machines())[0].state is not state:
            await deferLater(reactor, 0.05)

    async def test_discarded_state_leaves_no_file(self) -> None:
        """The memory of a machine is as large as the machine."""
        await self.hypervisor.start("vm")
        await self.hypervisor.saveState("vm")
        self.assertTrue((self.home / "machine.vmss").exists())
        await self.hypervisor.discardState("vm")
        self.assertFalse((self.home / "machine.vmss").exists())

    async def test_discarded_state_of_a_snapshot(self) -> None:
        """The snapshot keeps its own memory."""
        await self.hypervisor.start("vm")
        await self.hypervisor.takeSnapshot("vm", "s", "")
        await self.hypervisor.powerOff("vm")
        for _ in range(2):
            await self.hypervisor.restoreSnapshot("vm", "s")
            await self.until(S.SAVED)
            await self.hypervisor.discardState("vm")

    async def test_suspended_by_another(self) -> None:
        """What somebody does in VMware's window is noticed."""
        await self.hypervisor.start("vm")
        vmx = self.home / "machine.vmx"
        stand_in_vmrun.Machine(stand_in_vmrun.Registry(self.root / "registry"), str(vmx)).suspend("hard")
        await self.until(S.SAVED)

    async def test_removed_by_another(self) -> None:
        """Nobody can say what it is then; it can be removed."""
        await self.hypervisor.start("vm")
        await self.hypervisor.pause("vm")
        (self.home / "machine.vmx").rename(self.root / "elsewhere.vmx")
        await self.until(S.UNKNOWN)
        (self.root / "elsewhere.vmx").rename(self.home / "machine.vmx")
        await self.until(S.PAUSED)

    async def test_network_is_refused(self) -> None:
        """No machine is made that could reach more than the host-only network."""
        with pytest.raises(NetworkRefused):
            await self.hypervisor.createVM(MachineSpec("net", "Net", "g", image=self.spec.image, network=True))

    async def test_no_host_only_network(self) -> None:
        """connect() says what to set up."""
        with pytest.raises(HypervisorMissing, match=r"vmnet1 is not set up .*network editor"):
            await self.made(self.root / "nowhere" / "leases").connect()

    async def test_probe(self) -> None:
        """It works where vmrun answers and the processor virtualises."""
        for virtualises in (True, False):
            self.patch(processor, "virtualises", lambda virtualises=virtualises: virtualises)
            answer = await self.hypervisor.probe()
            self.assertEqual((answer.works, answer.accelerated), (virtualises, virtualises))

    async def test_version(self) -> None:
        """vmrun's own."""
        self.assertEqual(await self.hypervisor.version(), "vmrun 1.17.0")


class TestAbsent(TestCase):
    """No VMware."""

    async def test_probe(self) -> None:
        """What to install is the reason."""
        if shutil.which("vmrun"):
            raise SkipTest("VMware is installed here")
        answer = await load("vmware")(reactor, folder(self), "owner").probe()
        self.assertIn("install VMware", answer.reason)
        self.assertFalse(answer.works)
