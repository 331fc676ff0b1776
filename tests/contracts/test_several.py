"""Two process hypervisors side by side under the contract of all hypervisors: every second machine is the second's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.contracts import test_process
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from vmcontroller.hypervisors import load
from vmcontroller.hypervisors.process.record import Home
from vmcontroller.hypervisors.several import Choice, SeveralHypervisors
from vmcontroller.interfaces import IHypervisor
from vmcontroller.machine import MachineSpec

NAMES = ("even", "odd")


class TestSeveral(HypervisorContract, Insides, TestCase):
    """As two daemons' worth of machines, in one."""

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders = [*getattr(self, "folders", []), *(state_dir / name / "vms" for name in NAMES)]
        members = [load("process")(reactor, state_dir / name, owner) for name in NAMES]
        for name, member in zip(NAMES, members, strict=True):
            member.name = name

        async def choose() -> Choice:
            return Choice(members)

        return SeveralHypervisors("even,odd", choose)

    def spec(self, number: int = 1, **changes: Any) -> MachineSpec:
        return super().spec(number, **{"hypervisor": NAMES[number % 2], **changes})

    def home(self, vm: str) -> Home:
        return Home(self.state_dir / NAMES[int(vm.removeprefix("vm-")) % 2] / "vms" / vm)

    leftovers = test_process.TestProcess.leftovers
    crash = test_process.TestProcess.crash
    run_program = test_process.TestProcess.run_program
    write = test_process.TestProcess.write
    read = test_process.TestProcess.read
