"""The QEMU hypervisor under the contract of all hypervisors: real QEMU, emulating, with a guest in a boot sector."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector
from tests.contracts.capabilities import CpuCap, MacAddress, Metrics, Probe, Screenshot
from tests.contracts.harness import Program
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from tests.vmcontroller.hypervisors.qemu.case import living
from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors import load
from vmcontroller.hypervisors.qemu import QemuHypervisor
from vmcontroller.hypervisors.qemu.commandline import DISK
from vmcontroller.hypervisors.qemu.qmp import Monitor
from vmcontroller.hypervisors.qemu.record import Home
from vmcontroller.interfaces import IHypervisor

#: Where the text of the tests lies on the disk, and how much of it there can be.
_TEXT_AT, _TEXT_SIZE = 1 << 19, 512
#: What the guest says when it has booted.
_MARK = "0x21434d56"


@skipUnless(shutil.which("qemu-system-x86_64") and shutil.which("qemu-img"), "apt install qemu-system-x86 qemu-utils")
class TestQemu(HypervisorContract, Insides, Metrics, Screenshot, CpuCap, MacAddress, Probe, TestCase):
    """A machine is a QEMU and a directory."""

    has_guest = False

    async def setUp(self) -> None:
        self.folders: list[Path] = []
        await super().setUp()
        self.image = str(Path(self.root) / "image.raw")
        boot_sector.write(Path(self.image))

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders += [state_dir / "qemu", state_dir / "images" / "users"]
        return load("qemu")(reactor, state_dir, owner)

    def leftovers(self) -> list[str]:
        processes = [str(process) for process in living(Path(self.root))]
        return processes + [str(path) for folder in self.folders for path in folder.rglob("*")]

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        os.kill(Home(self.state_dir / "qemu" / vm).load().running.pid, signal.SIGKILL)

    def monitor(self, hypervisor: IHypervisor, vm: str) -> Monitor:
        assert isinstance(hypervisor, QemuHypervisor)
        return hypervisor._machines[vm].life.monitor

    async def say(self, vm: str, line: str, hypervisor: IHypervisor | None = None) -> str:
        """What QEMU answers to a line of its human monitor."""
        return await self.soon(self.monitor(hypervisor or self.hypervisor, vm).human(line))

    async def mark(self, vm: str, hypervisor: IHypervisor | None = None) -> str:
        """What the guest has put into its memory in this boot; no two boots have the same."""
        return await self.say(vm, f"xp /3wx {boot_sector.MARK_AT:#x}", hypervisor)

    async def knock(self, vm: str = "vm-1", hypervisor: IHypervisor | None = None) -> None:
        """Wait until the guest has booted, and obeys the power button."""
        await super().knock(vm, hypervisor)
        end = time.monotonic() + self.deadline
        while not await self.booted(vm, hypervisor):
            self.assertLess(time.monotonic(), end, f"{vm} does not boot")
            await deferLater(reactor, 0.02)

    async def booted(self, vm: str, hypervisor: IHypervisor | None) -> bool:
        """Whether the processor is in the boot sector, and has set its mark."""
        at = re.search(r"[ER]IP=0*([0-9a-f]+)", await self.say(vm, "info registers", hypervisor))
        in_loop = at is not None and int(at[1], 16) in boot_sector.LOOP
        return in_loop and _MARK in await self.mark(vm, hypervisor)

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        """The guest itself is the program: it runs as long as its memory holds the mark of the same boot."""
        await self.knock(vm, hypervisor)
        before = await self.mark(vm, hypervisor)

        async def runs() -> bool:
            try:
                return await self.mark(vm) == before
            except HypervisorFailed:
                return False

        return runs

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        source = Path(self.root) / "text"
        source.write_bytes(text.encode().ljust(_TEXT_SIZE, b"\0"))
        await self.say(vm, f'qemu-io -d {DISK} "write -s {source} {_TEXT_AT} {_TEXT_SIZE}"', hypervisor)
        await self.say(vm, f'qemu-io -d {DISK} "flush"', hypervisor)

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        home = Home(self.state_dir / "qemu" / vm)
        layer = home.disk / f"{home.load().layer}.qcow2"
        command = ("qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -v {_TEXT_AT} {_TEXT_SIZE}", str(layer))
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        octets = bytes.fromhex("".join(re.findall(r"^[0-9a-f]{8}:  ((?:[0-9a-f]{2} )+)", said, re.MULTILINE)))
        return octets.rstrip(b"\0").decode()
