"""The virtualbox plugin under the contract of all hypervisors, with the real VirtualBox: ``make test-virtualbox``.

Machines run the test guest (tests/virtualbox/guest.S), which has no agent and no network.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.contracts.capabilities import CpuCap, MacAddress, Metrics, Probe, Screenshot
from tests.contracts.harness import OWNER, Harness, Program, S
from tests.contracts.hypervisor import HypervisorContract
from tests.contracts.insides import Insides
from tests.virtualbox.guest import Guest, manage
from vmcontroller.errors import UnknownVM
from vmcontroller.hypervisors.virtualbox import create
from vmcontroller.interfaces import IHypervisor


class RealVirtualBox:
    """A mixin of TestCase: the real VirtualBox in its chroot, and a VDI of the test guest."""

    #: The guest's disk in the chroot.
    disk = "/opt/guest.bin"

    @classmethod
    def setUpClass(cls) -> None:
        if "VMCONTROLLER_REAL_VIRTUALBOX" not in os.environ:
            raise SkipTest("needs VirtualBox in its chroot; run make test-virtualbox as root")
        folder = tempfile.mkdtemp(prefix="vmc-images-")
        cls.image = f"{folder}/guest.vdi"
        manage("convertfromraw", cls.disk, cls.image)
        manage("setextradata", "global", "VBoxInternal/HM/FallbackToIEM", "1")  # There is no kernel module.

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.places = {**getattr(self, "places", {}), owner: state_dir / "virtualbox"}
        return create(reactor, state_dir, owner)

    def leftovers(self) -> list[str]:
        machines = manage("list", "vms").splitlines()
        disks = [line for line in manage("list", "hdds").splitlines() if line.startswith("Location")]
        return machines + disks + [str(path) for folder in self.places.values() for path in folder.glob("*")]

    def guest(self, vm: str, owner: str = OWNER) -> Guest | None:
        """The guest in a machine, or None while it does not run."""
        title = f"vmcontroller-{owner}-{vm}"
        for process in Path("/proc").glob("[0-9]*"):
            words = _words(process)
            if words and words[0].endswith("VBoxHeadless") and title in words:
                return Guest(int(process.name), title)
        return None


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []


class TestVirtualBox(
    RealVirtualBox, HypervisorContract, Insides, Metrics, Screenshot, CpuCap, MacAddress, Probe, TestCase
):
    """A machine is a VM of VirtualBox, in its interpreter."""

    has_guest = False
    many = 3

    async def knock(self, vm: str = "vm-1", hypervisor: IHypervisor | None = None) -> None:
        """The guest runs: it answers in its memory, as it has no agent."""
        await super().knock(vm, hypervisor)
        self.running_guest(vm).knock()

    async def running(self, number: int = 1) -> str:
        """A machine whose guest runs: a BIOS that is saved while it looks for disks waits for them ever after."""
        vm = await super().running(number)
        self.running_guest(vm).knock()
        return vm

    def running_guest(self, vm: str) -> Guest:
        guest = self.guest(vm)
        assert guest is not None, f"no process runs {vm}"
        return guest

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        os.kill(self.running_guest(vm)._pid, signal.SIGKILL)

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        guest = self.running_guest(vm)
        guest.knock()
        guest.type("\t")
        guest.until_program()

        async def runs() -> bool:
            present = self.guest(vm)
            return present is not None and present.program_runs()

        return runs

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        guest = self.running_guest(vm)
        guest.knock()
        guest.type(f"\x1b{text}\r")
        guest.until_text(f"{text}\n")

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        guest = self.running_guest(vm)
        guest.knock()
        return guest.text().removesuffix("\n")


class TestRealTrouble(RealVirtualBox, Harness, TestCase):
    """What is not in the contract, because no other hypervisor has it."""

    has_guest = False

    async def test_service_is_killed(self) -> None:
        """VirtualBox's service ends, and every machine with it: it is Aborted, and the next call starts a new one."""
        vm = await self.running()
        for process in Path("/proc").glob("[0-9]*"):
            if _words(process)[:1] == ["/usr/lib/virtualbox/VBoxSVC"]:
                os.kill(int(process.name), signal.SIGKILL)
        await self.until(vm, S.ABORTED)
        await self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.RUNNING)

    async def test_removed_behind_our_back(self) -> None:
        """A machine that somebody removes with VirtualBox's own tools is unknown from then on."""
        vm = await self.create()
        manage("unregistervm", f"vmcontroller-{OWNER}-{vm}")
        await self.fails(UnknownVM, self.hypervisor.start(vm))
        await self.again()
        await self.assertState(vm, S.POWERED_OFF)  # Its files were still there.

    async def test_image_is_not_written_on(self) -> None:
        """Through starts, snapshots, their restoring and deleting, the image stays as it was."""
        before = Path(self.image).read_bytes()
        vm = await self.running()
        for name in ("one", "two"):
            await self.soon(self.hypervisor.takeSnapshot(vm, name, ""))
        await self.soon(self.hypervisor.deleteSnapshot(vm, "one"))
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "two"))
        await self.soon(self.hypervisor.deleteSnapshot(vm, "two"))
        self.assertEqual(Path(self.image).read_bytes(), before)

    async def test_probe(self) -> None:
        """Without its kernel module VirtualBox says that it does not work, and why."""
        answer = await self.soon(create(reactor, self.directory(), OWNER).probe())
        self.assertFalse(answer.works)
        self.assertIn("kernel module", answer.reason)


class TestNetwork(RealVirtualBox, Harness, TestCase):
    """What a guest reaches, and who reaches it: the network guest tries all of it."""

    has_guest = False
    disk = "/opt/network.bin"

    async def test_what_is_open(self) -> None:
        """The door answers. No address of the host does, and nobody even tries to call one."""
        for address in ("198.51.100.7/32", "2001:db8::7/128"):
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
        met = self.listen()
        before = calls()
        vm = await self.running()
        await self.knocked(vm)
        self.assertEqual((met, calls()), ([], before))
        await self.assertDoorAnswers(vm)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.assertRaises(OSError, thief.bind, ("127.0.0.1", self.tunnel(vm, "sport")))

    async def test_door_answers_again(self) -> None:
        """After a pause, a saved state, a snapshot; for the next daemon, also if the tunnel's port is taken by then."""
        vm = await self.running()
        await self.knocked(vm)
        for verbs in (("pause", "resume"), ("saveState", "start")):
            for verb in verbs:
                await self.soon(getattr(self.hypervisor, verb)(vm))
            await self.assertDoorAnswers(vm)
        await self.soon(self.hypervisor.takeSnapshot(vm, "snapshot", ""))
        await self.assertDoorAnswers(vm)
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "snapshot"))
        await self.soon(self.hypervisor.start(vm))
        await self.assertDoorAnswers(vm)
        await self.again()
        await self.assertDoorAnswers(vm)
        before = self.tunnel(vm)
        await self.soon(self.hypervisor.disconnect(False))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
            somebody.bind(("127.0.0.1", before))
            await self.again()
            await self.assertDoorAnswers(vm)
        self.assertNotEqual(self.tunnel(vm), before)

    def tunnel(self, vm: str, end: str = "dport") -> int:
        """A port of a machine's tunnel, ours unless ``end`` is "sport", as it stands in VirtualBox's settings."""
        settings = (self.state_dir / "virtualbox" / vm / "machine.vbox").read_text(encoding="utf-8")
        return int(re.findall(rf'name="{end}" value="(\d+)"', settings)[-1])  # Those of snapshots stand before.

    async def assertDoorAnswers(self, vm: str) -> None:
        """It says again what it hears, also what fills the largest frame."""
        address = await self.soon(self.hypervisor.guestAddress(vm))
        for word in (b"hello", os.urandom(8960)):
            self.assertEqual(await deferToThread(conversation, address.host, address.door_port, word), word)

    def listen(self) -> list[tuple[str, str]]:
        """Listen at all addresses of this host, IPv4 ones too; who comes, and from where, is put into the list."""
        met: list[tuple[str, str]] = []
        tcp = reactor.listenTCP(7777, Caller.factory(met), interface="::")
        udp = reactor.listenUDP(7777, Letterbox(met), interface="::")
        for port in (tcp, udp):
            self.addCleanup(port.stopListening)
        return met

    async def knocked(self, vm: str) -> None:
        """Wait until the guest has tried everything."""
        guest = self.guest(vm)
        end = time.monotonic() + self.deadline
        while guest is None or not guest.holds(b"KNOCKED\n"):
            self.assertLess(time.monotonic(), end, "the guest never knocks")
            await deferLater(reactor, 0.5)


def calls() -> int:
    """How many TCP connections anybody has tried to make in this network namespace."""
    names, numbers = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Tcp:")
    return int(numbers[names.index("ActiveOpens")])


class Caller(Protocol):
    """Notes who calls."""

    met: list[tuple[str, str]]

    @classmethod
    def factory(cls, met: list[tuple[str, str]]) -> Factory:
        return Factory.forProtocol(type("Caller", (cls,), {"met": met}))

    def connectionMade(self) -> None:
        self.met.append(("TCP", self.transport.getPeer().host.removeprefix("::ffff:")))


class Letterbox(DatagramProtocol):
    """Notes who writes."""

    def __init__(self, met: list[tuple[str, str]]) -> None:
        self.met = met

    def datagramReceived(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.met.append(("UDP", address[0].removeprefix("::ffff:")))


def conversation(host: str, port: int, word: bytes) -> bytes:
    """What is answered to a word."""
    with socket.create_connection((host, port), 20) as one:
        one.sendall(word)
        heard = b""
        while len(heard) < len(word) and (data := one.recv(65536)):
            heard += data
    return heard
