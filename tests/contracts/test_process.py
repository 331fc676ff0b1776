"""The process hypervisor under the contract of all hypervisors, with the real guest agent."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.contracts.capabilities import Metrics, Probe
from tests.contracts.harness import OTHER_OWNER, OWNER, Program
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from vmcontroller.hypervisors import load
from vmcontroller.hypervisors.common.tree import Tree
from vmcontroller.hypervisors.process.record import Home
from vmcontroller.interfaces import IHypervisor


class TestProcess(HypervisorContract, Insides, Metrics, Probe, TestCase):
    """A machine is an agent's process tree and a directory."""

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders = [*getattr(self, "folders", []), state_dir / "vms"]
        return load("process")(reactor, state_dir, owner)

    def leftovers(self) -> list[str]:
        owners = [Tree({"VMCONTROLLER_OWNER": owner}) for owner in (OWNER, OTHER_OWNER)]
        processes = [str(process) for tree in owners for process in tree.members()]
        return processes + [str(path) for folder in self.folders for path in folder.rglob("*")]

    def home(self, vm: str) -> Home:
        return Home(self.state_dir / "vms" / vm)

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        os.kill(self.home(vm).load().running.pid, signal.SIGKILL)

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        """A process as a command may leave it: in a session of its own, and no descendant of the agent."""
        marks = {"VMCONTROLLER_ID": vm, "VMCONTROLLER_OWNER": OWNER}
        program = subprocess.Popen(["sleep", "1000"], env=os.environ | marks, start_new_session=True)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)

        async def runs() -> bool:
            return program.poll() is None

        return runs

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        (self.home(vm).files / "text").write_text(text)

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        return (self.home(vm).files / "text").read_text()
