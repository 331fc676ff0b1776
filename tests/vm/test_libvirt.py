"""The libvirt plugin under the contract of all hypervisors, on a real libvirtd that runs QEMU without acceleration.

The guest is a boot sector, so what the suite calls a program is the mark that each boot puts into its memory, and a
text on its disk is written past the guest by QEMU itself.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector
from tests.contracts.capabilities import MacAddress, Metrics, Probe, Screenshot
from tests.contracts.harness import OTHER_OWNER, OWNER, Program, S
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.libvirt.definition import uuid_of
from vmcontroller.hypervisors.libvirt.hypervisor import LibvirtHypervisor
from vmcontroller.interfaces import IHypervisor

pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")
qemu: Any = pytest.importorskip("libvirt_qemu", reason="no Python module libvirt_qemu; on Debian: python3-libvirt")
from tests.vm.libvirtd import Libvirtd, missing  # noqa: E402

_DISK = "/machine/peripheral/virtio-disk0/virtio-backend"
_TEXT_AT = 512 * 1024


class TestLibvirtd(HypervisorContract, Insides, Metrics, Screenshot, MacAddress, Probe, TestCase):
    """Real domains, real snapshots, real saved states."""

    has_guest = False
    many = 3

    @classmethod
    def setUpClass(cls) -> None:
        if missing():
            raise SkipTest(missing())
        cls.place = Path(tempfile.mkdtemp(prefix="vmc-libvirtd-"))
        cls.libvirtd = Libvirtd(cls.place)
        cls.libvirtd.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.libvirtd.stop()
        shutil.rmtree(cls.place)

    async def setUp(self) -> None:
        await super().setUp()
        self.image = str(Path(self.root) / "disk.raw")
        boot_sector.write(Path(self.image))

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders = [*getattr(self, "folders", []), state_dir / "libvirt", state_dir / "images" / "users"]
        return LibvirtHypervisor(reactor, state_dir, owner, self.libvirtd.uri)

    def leftovers(self) -> list[str]:
        domains = [domain.name() for domain in self.libvirtd.connection.listAllDomains()]
        return domains + [str(path) for folder in self.folders for path in folder.rglob("*")] + processes()

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        (process,) = processes(vm)
        os.kill(int(process.split()[0]), signal.SIGKILL)

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        end = time.monotonic() + self.deadline
        while not (mark := await deferToThread(self.mark, vm)):
            self.assertLess(time.monotonic(), end, "the guest does not boot")
            await deferLater(reactor, 0.05)

        async def runs() -> bool:
            return await deferToThread(self.mark, vm) == mark

        return runs

    def mark(self, vm: str) -> str:
        """What this boot of the guest left in its memory; "" when it has not booted, or does not run."""
        if not processes(vm) or not any(self.is_in_its_loop(vm) for _ in range(5)):
            return ""
        return self.ask_qemu(vm, f"xp /3wx {boot_sector.MARK_AT:#x}")

    def is_in_its_loop(self, vm: str) -> bool:
        """Whether the guest has booted; not so for the moments that it handles an interrupt."""
        found = re.search(r"EIP=([0-9a-f]+)", self.ask_qemu(vm, "info registers"))
        return found is not None and int(found[1], 16) in boot_sector.LOOP

    async def knock(self, vm: str = "vm-1", hypervisor: IHypervisor | None = None) -> None:
        """Nobody answers at the guest's door, but it has to have booted."""
        await super().knock(vm, hypervisor)
        await self.run_program(hypervisor or self.hypervisor, vm)

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        for command in (f"write -P {pattern(text)} {_TEXT_AT} 512", "flush"):
            await deferToThread(self.ask_qemu, vm, f'qemu-io -d {_DISK} "{command}"')

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        disk = self.state_dir / "libvirt" / vm / "disk.qcow2"
        read = ("qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -v {_TEXT_AT} 16", disk)
        shown = subprocess.run(read, capture_output=True, text=True, check=True).stdout
        known = {f"{pattern(text):02x}": text for text in ("", "kept", "first", "second", "one", "two", "three")}
        return known[shown.split()[1]]

    def ask_qemu(self, vm: str, command: str) -> str:
        domain = self.libvirtd.connection.lookupByUUIDString(uuid_of(OWNER, vm))
        return str(qemu.qemuMonitorCommand(domain, command, qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP))

    async def test_snapshot_of_a_saved_machine(self) -> None:
        """It holds the programs that the saved state holds, and the machine stays Saved."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        await self.assertState(vm, S.SAVED)
        await self.soon(self.hypervisor.discardState(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "s"))
        await self.assertState(vm, S.SAVED)
        await self.soon(self.hypervisor.start(vm))
        self.assertTrue(await runs())

    async def test_forwards(self) -> None:
        """Both ports are open on loopback as long as the machine runs, and no longer."""
        vm = await self.running()
        address = await self.soon(self.hypervisor.guestAddress(vm))
        for port in (address.door_port, address.chirp_port):
            socket.create_connection(("127.0.0.1", port), self.deadline).close()
        await self.soon(self.hypervisor.powerOff(vm))
        for port in (address.door_port, address.chirp_port):
            self.assertNotEqual(socket.socket().connect_ex(("127.0.0.1", port)), 0)

    async def test_libvirtd_is_started_anew(self) -> None:
        """Machines run on meanwhile, and obey again when it is there."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        self.libvirtd.stop()
        self.libvirtd.start()
        await self.assertState(vm, S.RUNNING)
        await self.until_answered(self.hypervisor.pause, vm)
        await self.soon(self.hypervisor.resume(vm))
        self.assertTrue(await runs())

    async def until_answered(self, verb: Callable[[str], Deferred[None]], vm: str) -> None:
        """The first call after a restart may hear that the old connection is broken."""
        try:
            await self.soon(verb(vm))
        except HypervisorFailed:
            await self.soon(verb(vm))


def pattern(text: str) -> int:
    """An octet that stands for a text."""
    return sum(text.encode()) % 256


def processes(vm: str = "") -> list[str]:
    """The QEMU of a machine of the first owner, or of every machine, as pid and command line."""
    shown = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
    owners = (f"{OWNER}-{vm},",) if vm else (OWNER, OTHER_OWNER)
    wanted = tuple(f"guest=vmcontroller-{owner}" for owner in owners)
    lines = [line.strip() for line in shown.splitlines() if "qemu-system" in line]
    return [line for line in lines if any(mark in line for mark in wanted)]
