"""What the tests of the process hypervisor have in common: one with the stand-in agent, and nothing left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.tree import Tree
from vmcontroller.hypervisors.process.hypervisor import ProcessHypervisor
from vmcontroller.hypervisors.process.record import Home
from vmcontroller.machine import MachineSpec, MachineState

STAND_IN = (sys.executable, "-m", "tests.contracts.stand_in_agent")
#: Of this run alone: another one may go on beside it on the same host.
OWNER = f"process-tests-{os.getpid()}"
S = MachineState


def spec(number: int = 1, **changes: Any) -> MachineSpec:
    values = {"id": f"vm-{number}", "name": f"VM {number}", "group": "main", "seed": {"secret": "hush"}}
    return MachineSpec(**{**values, **changes})


class ProcessTestCase(TestCase):
    """One hypervisor with the stand-in agent; no process is left at the end."""

    timeout = 60

    async def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(files.remove, self.root)
        self.addCleanup(self.clean)
        self.made: list[ProcessHypervisor] = []
        self.hypervisor = await self.connected()

    async def connected(self, *mood: str) -> ProcessHypervisor:
        hypervisor = ProcessHypervisor(reactor, self.root, OWNER, (*STAND_IN, *mood))
        await hypervisor.connect()
        self.made.append(hypervisor)
        return hypervisor

    async def again(self, *mood: str) -> None:
        await self.hypervisor.disconnect(False)
        self.hypervisor = await self.connected(*mood)

    async def clean(self) -> None:
        for hypervisor in self.made:
            await hypervisor.disconnect(True)
        tree = Tree({"VMCONTROLLER_OWNER": OWNER})
        left = tree.members()
        tree.kill()
        self.assertEqual(left, [])

    async def running(self, number: int = 1) -> str:
        await self.hypervisor.createVM(spec(number))
        await self.hypervisor.start(f"vm-{number}")
        return f"vm-{number}"

    async def fails(self, error: type[Exception], call: Deferred[Any], *texts: str) -> None:
        failure = await self.assertFailure(call, error)
        for text in texts:
            self.assertIn(text, str(failure))

    async def state(self, vm: str = "vm-1") -> MachineState:
        return {machine.id: machine.state for machine in await self.hypervisor.machines()}[vm]

    async def until(self, state: MachineState) -> None:
        while await self.state() is not state:
            await deferLater(reactor, 0.01)

    def home(self, vm: str = "vm-1") -> Home:
        return Home(self.root / "vms" / vm)

    def agent(self) -> int:
        running = self.home().load().running
        assert running
        return running.pid

    def tree(self) -> Tree:
        return Tree({"VMCONTROLLER_OWNER": OWNER, "VMCONTROLLER_ID": "vm-1"})

    def stranger(self, **environment: str) -> subprocess.Popen[bytes]:
        """A process that is none of the agent's children."""
        process = subprocess.Popen(["sleep", "1000"], env=os.environ | environment, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def leftover(self) -> subprocess.Popen[bytes]:
        return self.stranger(VMCONTROLLER_OWNER=OWNER, VMCONTROLLER_ID="vm-1")
