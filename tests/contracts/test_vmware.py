"""The VMware plugin under the contract of all hypervisors, with a stand-in for vmrun.

What is shown is that the plugin is right if VMware does what its documentation says; the real one was never asked.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector, stand_in_vmrun
from tests.contracts.capabilities import MacAddress, Probe
from tests.contracts.harness import Program
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from vmcontroller.hypervisors.vmware.hypervisor import VMwareHypervisor
from vmcontroller.hypervisors.vmware.vmrun import Vmrun
from vmcontroller.interfaces import IHypervisor


class TestVMware(HypervisorContract, Insides, MacAddress, Probe, TestCase):
    """Machines whose memory is a number and whose disk is a text."""

    has_guest = False
    many = 3

    async def setUp(self) -> None:
        if not shutil.which("qemu-img"):
            raise SkipTest("qemu-img is missing; on Debian: apt install qemu-utils")
        self.registry = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(shutil.rmtree, self.registry)
        await super().setUp()
        self.image = str(Path(self.root) / "disk.raw")
        boot_sector.write(Path(self.image))

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders = [*getattr(self, "folders", []), state_dir / "vmware", state_dir / "images" / "users"]
        vmrun = Vmrun((sys.executable, stand_in_vmrun.__file__, str(self.registry)), "ws")
        return VMwareHypervisor(reactor, state_dir, owner, vmrun, self.registry / "leases", glance=0.2)

    def leftovers(self) -> list[str]:
        running = list(stand_in_vmrun.Registry(self.registry).running())
        return running + [str(path) for folder in self.folders for path in folder.rglob("*")]

    def home(self, vm: str) -> Path:
        return self.state_dir / "vmware" / vm

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        os.kill(self.process(vm), signal.SIGKILL)

    def process(self, vm: str) -> int:
        """0 when it does not run."""
        return stand_in_vmrun.Registry(self.registry).running().get(str(self.home(vm) / "machine.vmx"), 0)

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        memory = self.home(vm) / "memory"
        before = memory.read_text()

        async def runs() -> bool:
            return self.process(vm) != 0 and memory.read_text() == before

        return runs

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        (self.home(vm) / "text").write_text(text)

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        return (self.home(vm) / "text").read_text()
