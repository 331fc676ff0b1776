"""The virtualbox plugin under the contract of all hypervisors, upon a fake of VirtualBox's binding, in four versions.

The fake passes here what the real VirtualBox passes in test_virtualbox.py. What differs by version is thereby shown
for versions that cannot be had for a test.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.contracts.capabilities import CpuCap, MacAddress, Metrics, Probe, Screenshot
from tests.contracts.harness import OWNER, Program
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from tests.vmcontroller.hypervisors.virtualbox.case import WithFake
from vmcontroller.interfaces import IHypervisor


class Contract(WithFake, HypervisorContract, Insides, Metrics, Screenshot, CpuCap, MacAddress, Probe):
    """A machine is an object in this process."""

    has_guest = False

    async def setUp(self) -> None:
        self.furnish()
        self.places: list[Path] = []
        await HypervisorContract.setUp(self)

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.places.append(state_dir / "virtualbox")
        return super().make(state_dir, owner)

    def leftovers(self) -> list[str]:
        known = [machine.name for machine in self.world.machines] + [medium.location for medium in self.world.media]
        return known + [str(path) for folder in self.places for path in folder.glob("*")]

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        self.fake(vm, OWNER).end("Aborted")

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        machine = self.fake(vm, OWNER)
        assert machine.memory is not None
        machine.memory["program"] = True

        async def runs() -> bool:
            return machine.label != "Saved" and bool(machine.memory and machine.memory.get("program"))

        return runs

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        disk = self.fake(vm, OWNER).disk
        assert disk is not None
        disk.text = text

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        return self.fake(vm, OWNER).text

    spec = HypervisorContract.spec


class TestVirtualBox61(Contract, TestCase):
    """The oldest that is supported."""

    release = "6.1.50"


class TestVirtualBox70(Contract, TestCase):
    """New numbers of states."""

    release = "7.0.26"


class TestVirtualBox71(Contract, TestCase):
    """New places of settings."""

    release = "7.1.18"


class TestVirtualBox72(Contract, TestCase):
    """The newest."""

    release = "7.2.22"
