"""What the tests of the QEMU hypervisor have in common: one with a guest in a boot sector, and nothing left of it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector
from vmcontroller.hypervisors.common import files, proc
from vmcontroller.hypervisors.common.proc import Process
from vmcontroller.hypervisors.qemu import QemuHypervisor, create
from vmcontroller.hypervisors.qemu.generations import all_of
from vmcontroller.hypervisors.qemu.layers import Layers
from vmcontroller.hypervisors.qemu.machine import MARK, QemuMachine
from vmcontroller.hypervisors.qemu.record import Home
from vmcontroller.machine import MachineSpec, MachineState

OWNER = "qemu-tests"
VM = "vm-1"
S = MachineState


def living(root: Path) -> list[Process]:
    """The processes that run for machines below a directory."""
    mark = f"{MARK}={root.resolve()}/".encode()
    return [process for process in proc.every() if not process.ended and mark in _environment(process)]


def _environment(process: Process) -> bytes:
    try:
        return Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return b""


class QemuTestCase(TestCase):
    """One hypervisor; no process is left at the end."""

    timeout = 60

    async def setUp(self) -> None:
        if not shutil.which("qemu-system-x86_64") or not shutil.which("qemu-img"):
            raise SkipTest("QEMU is not installed; on Debian: qemu-system-x86 and qemu-utils")
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(files.remove, self.root)
        self.addCleanup(self.clean)
        self.image = self.root / "image.raw"
        boot_sector.write(self.image)
        self.hypervisor = await self.connected()

    async def connected(self) -> QemuHypervisor:
        hypervisor = create(reactor, self.root, OWNER)
        await hypervisor.connect()
        return hypervisor

    async def again(self) -> None:
        """Another daemon takes over."""
        await self.hypervisor.disconnect(False)
        self.hypervisor = await self.connected()

    async def clean(self) -> None:
        if hasattr(self, "hypervisor"):
            await self.hypervisor.disconnect(False)
        for process in living(self.root):
            proc.send(process, signal.SIGKILL)

    def spec(self, **changes: Any) -> MachineSpec:
        values = {"id": VM, "name": "VM 1", "group": "main", "image": str(self.image), "memory_mb": 64}
        return MachineSpec(**{**values, "seed": {"secret": "hush"}, **changes})

    async def running(self, **changes: Any) -> None:
        await self.hypervisor.createVM(self.spec(**changes))
        await self.hypervisor.start(VM)

    async def fails(self, error: type[Exception], call: Deferred[Any], *texts: str) -> None:
        failure = await self.assertFailure(call, error)
        for text in texts:
            self.assertIn(text, str(failure))

    async def state(self) -> MachineState:
        return {machine.id: machine.state for machine in await self.hypervisor.machines()}[VM]

    async def until(self, state: MachineState) -> None:
        """Wait until the machine gets into a state by itself, and has noted it."""
        while await self.state() is not state:
            await deferLater(reactor, 0.01)
        await self.machine.lock.run(lambda: None)

    async def assertRuns(self) -> None:
        """It is Running, and QEMU says so, too."""
        self.assertIs(await self.state(), S.RUNNING)
        self.assertEqual((await self.machine.life.monitor.execute("query-status"))["status"], "running")

    @property
    def machine(self) -> QemuMachine:
        return self.hypervisor._machines[VM]

    @property
    def home(self) -> Home:
        return Home(self.root / "qemu" / VM)

    @property
    def layers(self) -> Layers:
        return Layers(self.home.disk)

    def pid(self) -> int:
        running = self.home.load().running
        assert running
        return running.pid

    def place_of(self, name: str) -> Path:
        """Where a snapshot lies."""
        return next(place for place, found in all_of(self.home).items() if found.name == name)

    async def debris(self) -> list[str]:
        """What was half made or half removed, and still lies there when the machine has come to rest."""
        await self.machine.lock.run(lambda: None)
        found = [path.name for folder in (self.home.path, self.home.snapshots) for path in folder.iterdir()]
        return [name for name in found if name.startswith((".", "saved-"))]

    def environment(self) -> str:
        return Path(f"/proc/{self.pid()}/environ").read_bytes().decode()

    def descriptors(self) -> set[str]:
        """What this process has open."""
        folder = Path("/proc/self/fd")
        return {os.readlink(path) for path in folder.iterdir() if path.exists()}
