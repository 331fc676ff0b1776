"""What the contract does not know of: VirtualBox's own ways to fail, and what others do to our machines meanwhile."""

from __future__ import annotations

import builtins
import os
import socket
import sys
from pathlib import Path
from typing import Any
from unittest import skipUnless

import virtualbox as pyvbox
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.users import plain_user
from tests.vmcontroller.hypervisors.common.net.guest import MAC, segment_in
from tests.vmcontroller.hypervisors.virtualbox.case import WithFake
from tests.vmcontroller.hypervisors.virtualbox.fake_machine import Adapter, Progress
from tests.vmcontroller.hypervisors.virtualbox.fake_vboxapi import ServingThread
from vmcontroller.errors import (
    BadImage,
    BadRequest,
    BadState,
    HypervisorFailed,
    HypervisorMissing,
    NetworkRefused,
    UnknownVM,
    VMExists,
)
from vmcontroller.hypervisors.common.net.frames import ARP, ASK, Arp, Ethernet
from vmcontroller.hypervisors.common.net.network import GATEWAY, GUEST
from vmcontroller.hypervisors.common.net.segment import Segment
from vmcontroller.hypervisors.virtualbox import create, jobs
from vmcontroller.hypervisors.virtualbox.hypervisor import VirtualBoxHypervisor
from vmcontroller.machine import MachineState as S


class Case(WithFake, TestCase):
    """A connected plugin over a fake VirtualBox."""

    async def setUp(self) -> None:
        self.furnish()
        self.state_dir = self.folder / "state"
        self.hypervisor = self.make(self.state_dir, "owner-one")
        await self.hypervisor.connect()
        self.addCleanup(lambda: self.hypervisor.disconnect(False))

    async def again(self) -> None:
        """The next daemon."""
        await self.hypervisor.disconnect(False)
        self.hypervisor = self.make(self.state_dir, "owner-one")
        await self.hypervisor.connect()

    async def running(self) -> str:
        await self.hypervisor.createVM(self.spec())
        await self.hypervisor.start("vm-1")
        return "vm-1"

    async def states(self) -> dict[str, S]:
        return {machine.id: machine.state for machine in await self.hypervisor.machines()}


class TestService(Case):
    """VirtualBox's service ends, for whatever reason."""

    async def test_comes_back(self) -> None:
        """The next question finds the new service; machines that ended with the old one are Aborted, and start."""
        vm = await self.running()
        self.world.die()
        self.assertEqual(await self.states(), {vm: S.ABORTED})
        await self.hypervisor.start(vm)
        self.assertEqual(await self.states(), {vm: S.RUNNING})

    async def test_ends_while_nobody_asks(self) -> None:
        """A verb that is said after the service's end is obeyed by the next one."""
        vm = await self.running()
        await self.hypervisor.powerOff(vm)
        self.world.die()
        await self.hypervisor.start(vm)
        self.assertEqual(await self.states(), {vm: S.RUNNING})


class TestOthers(Case):
    """Somebody else uses the same VirtualBox."""

    async def test_removed_behind_our_back(self) -> None:
        """A machine that somebody has removed is unknown from then on, and its id is free for the next daemon."""
        vm = await self.running()
        self.fake(vm).end("PoweredOff")
        machine = self.fake(vm)
        machine.unregister(0)
        Path(machine.settingsFilePath).unlink()
        await self.assertFailure(self.hypervisor.start(vm), UnknownVM)
        self.assertEqual(await self.states(), {})
        self.assertEqual(list((self.state_dir / "images" / "users").iterdir()), [])
        await self.again()
        self.assertEqual(list((self.state_dir / "virtualbox").iterdir()), [])
        await self.hypervisor.createVM(self.spec())

    async def test_struck_off_the_list(self) -> None:
        """A machine that was only taken off VirtualBox's list is put there again by the next daemon."""
        await self.hypervisor.createVM(self.spec())
        self.world.strike_off("vmcontroller-owner-one-vm-1")
        self.assertEqual(await self.states(), {})
        await self.again()
        self.assertEqual(await self.states(), {"vm-1": S.POWERED_OFF})

    async def test_started_elsewhere(self) -> None:
        """What somebody did in VirtualBox's own window is seen."""
        await self.hypervisor.createVM(self.spec())
        self.fake("vm-1").label = "Running"
        self.assertEqual(await self.states(), {"vm-1": S.RUNNING})
        self.fake("vm-1").label = "PoweredOff"
        self.assertEqual(await self.states(), {"vm-1": S.POWERED_OFF})

    async def test_id_of_another(self) -> None:
        """A directory that is not ours is left alone, and the image is not held for a machine that was not made."""
        place = self.state_dir / "virtualbox" / "vm-1"
        place.mkdir()
        (place / "theirs").touch()
        await self.assertFailure(self.hypervisor.createVM(self.spec()), VMExists)
        self.assertTrue((place / "theirs").exists())
        self.assertEqual(list((self.state_dir / "images" / "users").iterdir()), [])

    async def test_image_is_left(self) -> None:
        """The image outlives its machines, unchanged; VirtualBox forgets it with the last one."""
        before = Path(self.image).read_bytes()
        await self.hypervisor.createVM(self.spec(1))
        await self.hypervisor.createVM(self.spec(2))
        await self.hypervisor.removeVM("vm-1")
        self.assertIn(self.image, [medium.location for medium in self.world.media])
        await self.hypervisor.removeVM("vm-2")
        self.assertEqual(self.world.media, [])
        self.assertEqual(Path(self.image).read_bytes(), before)


class TestTrouble(Case):
    """VirtualBox refuses or breaks."""

    async def test_start_fails(self) -> None:
        """The error holds VirtualBox's words, and the machine is as it was."""
        await self.hypervisor.createVM(self.spec())
        self.world.broken_start = "The virtual machine has terminated unexpectedly during startup with exit code 1"
        failure = await self.assertFailure(self.hypervisor.start("vm-1"), HypervisorFailed)
        self.assertIn("terminated unexpectedly", str(failure))
        self.assertEqual(await self.states(), {"vm-1": S.POWERED_OFF})

    async def test_saving_stumbles(self) -> None:
        """What VirtualBox complains of after all was saved is no failure; what it complains of before is one."""
        vm = await self.running()
        machine = self.fake(vm)
        save, complaint = machine.saveState, "Assertion failed: [SUCCEEDED(hrc)]"
        self.patch(machine, "saveState", lambda: Progress(complaint))
        failure = await self.assertFailure(self.hypervisor.saveState(vm), HypervisorFailed)
        self.assertIn(complaint, str(failure))
        self.patch(machine, "saveState", lambda: save() and Progress(complaint))
        await self.hypervisor.saveState(vm)
        self.assertEqual(await self.states(), {vm: S.SAVED})

    async def test_left_and_not_to_be_saved(self) -> None:
        """Who leaves for good leaves no machine that runs: one that cannot be saved is switched off."""
        vm = await self.running()
        self.patch(self.fake(vm), "saveState", lambda: Progress("no room"))
        await self.hypervisor.disconnect(True)
        await self.hypervisor.connect()
        self.assertEqual(await self.states(), {vm: S.POWERED_OFF})

    async def test_guru_meditation(self) -> None:
        """A machine that met its end inside is Stuck: it can be switched off, and nothing else."""
        vm = await self.running()
        self.fake(vm).label = "Stuck"
        self.assertEqual(await self.states(), {vm: S.STUCK})
        await self.assertFailure(self.hypervisor.pause(vm), BadState)
        await self.hypervisor.powerOff(vm)
        self.assertEqual(await self.states(), {vm: S.POWERED_OFF})

    async def test_does_not_obey(self) -> None:
        """A machine that does not let itself be switched off is ended as a process."""
        vm = await self.running()
        machine = self.fake(vm)
        machine.refusesPowerDown = True
        self.patch(jobs, "_kill", lambda one: machine.end("Aborted"))
        await self.hypervisor.powerOff(vm)
        self.assertEqual(await self.states(), {vm: S.POWERED_OFF})

    async def test_image_is_refused(self) -> None:
        """Of a machine whose image VirtualBox does not take nothing is left."""
        self.patch(self.world, "media", [])
        self.patch(pyvbox.library.IVirtualBox, "open_medium", refuse)
        await self.assertFailure(self.hypervisor.createVM(self.spec()), BadImage)
        self.assertEqual((self.world.machines, list((self.state_dir / "virtualbox").iterdir())), ([], []))

    async def test_bad_share(self) -> None:
        """A share of the processor lies between 1 and 100 per cent."""
        vm = await self.running()
        for percent in (0, 101):
            await self.assertFailure(self.hypervisor.setCpuCap(vm, percent), BadRequest)
        await self.hypervisor.setCpuCap(vm, 40)
        self.assertEqual(self.fake(vm).CPUExecutionCap, 40)


class TestNetwork(Case):
    """The machine's card leads to this program alone."""

    async def test_no_network(self) -> None:
        """A machine with a network is refused, with the reason."""
        failure = await self.assertFailure(self.hypervisor.createVM(self.spec(network=True)), NetworkRefused)
        self.assertIn("loopback", str(failure))

    def card(self) -> Adapter:
        return self.fake("vm-1").adapter

    async def greeting(self, port: int) -> Segment:
        """What the guest's card hears when somebody knocks at a forward."""
        card = self.card().wire
        assert card
        network = ("127.0.0.1", int(self.card().properties["dport"]))
        arp = Arp(ASK, MAC, GUEST, bytes(6), GATEWAY).encode()
        card.sendto(Ethernet(b"\xff" * 6, MAC, ARP, arp).encode(), network)
        caller = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Protocol())
        while (segment := segment_in(Ethernet.decode(await deferToThread(card.recv, 10000)))) is None:
            pass
        caller.transport.abortConnection()
        return segment

    async def test_closed(self) -> None:
        """No NAT, no bridge: each frame goes to a port of loopback, and that is this program's."""
        await self.hypervisor.createVM(self.spec())
        kinds = pyvbox.library.NetworkAttachmentType
        self.assertEqual(self.card().attachmentType, int(kinds.null))
        await self.hypervisor.start("vm-1")
        self.assertEqual((self.card().attachmentType, self.card().genericDriver), (int(kinds.generic), "UDPTunnel"))
        self.assertEqual(self.card().properties.keys(), {"dest", "sport", "dport"})
        self.assertEqual(self.card().properties["dest"], "127.0.0.1")

    async def test_both_forwards_lead_to_the_card(self) -> None:
        """Who knocks at a forward is heard at the guest's card, at the port of the agent's."""
        vm = await self.running()
        address = await self.hypervisor.guestAddress(vm)
        heard = [(await self.greeting(port)).destination for port in (address.door_port, address.chirp_port)]
        self.assertEqual(heard, [61614, 9094])

    async def test_next_daemon(self) -> None:
        """It holds the tunnel where the last one did: the machine was told nothing."""
        vm = await self.running()
        before = dict(self.card().properties)
        await self.again()
        address = await self.hypervisor.guestAddress(vm)
        self.assertEqual(self.card().properties, before)
        self.assertEqual((await self.greeting(address.door_port)).destination, 61614)

    async def test_port_was_taken_meanwhile(self) -> None:
        """A port that somebody else has by now is given up: the machine is told another one."""
        vm = await self.running()
        before = dict(self.card().properties)
        await self.hypervisor.disconnect(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
            somebody.bind(("127.0.0.1", int(before["dport"])))
            self.hypervisor = self.make(self.state_dir, "owner-one")
            await self.hypervisor.connect()
        address = await self.hypervisor.guestAddress(vm)
        self.assertNotEqual(self.card().properties["dport"], before["dport"])
        self.assertEqual((await self.greeting(address.door_port)).destination, 61614)

    def share(self) -> socket.socket:
        """Open VirtualBox's port of the tunnel once more."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(opened.close)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("127.0.0.1", int(self.card().properties["sport"])))
        return opened

    @skipUnless(sys.platform == "linux", "Linux alone shares ports in this way")
    async def test_nobody_opens_the_tunnel_too(self) -> None:
        """Not once the guest's address is known."""
        await self.hypervisor.guestAddress(await self.running())
        self.assertRaises(OSError, self.share)

    @skipUnless(sys.platform == "linux" and os.geteuid() == 0, "only root on Linux can be another user, too")
    async def test_somebody_was_quicker(self) -> None:
        """Then the machine's card leads elsewhere."""
        vm = await self.running()
        before = self.card().properties["sport"]
        with plain_user():
            self.share()
        address = await self.hypervisor.guestAddress(vm)
        self.assertNotEqual(self.card().properties["sport"], before)
        self.assertEqual((await self.greeting(address.door_port)).destination, 61614)

    async def test_nothing_listens_for_a_machine_that_is_off(self) -> None:
        """Its forwards are gone with it, and so is the tunnel."""
        vm = await self.running()
        address = await self.hypervisor.guestAddress(vm)
        self.fake(vm).end("Aborted")
        await self.states()
        with socket.socket() as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            one.bind((address.host, address.door_port))
            other.bind((address.host, int(self.card().properties["dport"])))

    async def test_driver_is_missing(self) -> None:
        """A VirtualBox without the driver is named, and the machine is as it was."""
        await self.hypervisor.createVM(self.spec())
        self.world.broken_start = "Failed to attach the network LUN (VERR_PDM_DRIVER_NOT_FOUND)"
        failure = await self.assertFailure(self.hypervisor.start("vm-1"), HypervisorFailed)
        self.assertIn("lacks the network driver UDPTunnel", str(failure))
        self.assertEqual(await self.states(), {"vm-1": S.POWERED_OFF})


class TestSnapshots(Case):
    """VirtualBox's tree behind our list."""

    async def test_buried(self) -> None:
        """A snapshot that VirtualBox will not delete yet is not listed, its name is free, and it goes when it can."""
        await self.hypervisor.createVM(self.spec())
        for name in ("one", "two"):
            await self.hypervisor.takeSnapshot("vm-1", name, "")
        await self.hypervisor.restoreSnapshot("vm-1", "one")
        await self.hypervisor.deleteSnapshot("vm-1", "one")
        self.assertEqual([one.name for one in await self.hypervisor.listSnapshots("vm-1")], ["two"])
        self.assertEqual(self.fake("vm-1").snapshotCount, 2)
        await self.hypervisor.restoreSnapshot("vm-1", "two")
        self.assertEqual(self.fake("vm-1").snapshotCount, 1)


class TestMissing(WithFake, TestCase):
    """What has to be installed first."""

    def setUp(self) -> None:
        self.furnish()

    async def test_no_binding(self) -> None:
        """Without VirtualBox's Python binding connect() says where it comes from, and probe() does not fail."""
        del sys.modules["vboxapi"]
        self.addCleanup(sys.modules.__setitem__, "vboxapi", None)
        self.patch(builtins, "__import__", without("vboxapi"))
        hypervisor = self.make(self.folder / "state", "owner-one")
        failure = await self.assertFailure(hypervisor.connect(), HypervisorMissing)
        self.assertIn("package virtualbox", str(failure))
        answer = await hypervisor.probe()
        self.assertFalse(answer.works)

    async def test_too_old(self) -> None:
        """A version before 6.1 is named and refused."""
        self.world.release = "6.0.24"
        failure = await self.assertFailure(self.make(self.folder / "state", "o").connect(), HypervisorMissing)
        self.assertIn("6.0.24", str(failure))

    async def test_isolated(self) -> None:
        """It says that it isolates its machines, so that it may be chosen by itself."""
        answer = await self.make(self.folder / "state", "o").probe()
        self.assertTrue(answer.isolated)
        self.assertIn("VirtualBox 7.2.22", answer.reason)

    def test_factory(self) -> None:
        """The factory touches nothing."""
        self.assertIsInstance(create(reactor, self.folder / "none", "o"), VirtualBoxHypervisor)
        self.assertFalse((self.folder / "none").exists())
        self.assertTrue(callable(ServingThread))


def refuse(*args: Any) -> None:
    """What pyvbox does when VirtualBox refuses."""
    error = pyvbox.library.VBoxErrorObjectNotFound()
    error.msg = "no such medium"
    raise error


def without(name: str) -> Any:
    """An import statement that does not find one module."""
    real = builtins.__import__

    def importing(wanted: str, *args: Any, **kwargs: Any) -> Any:
        if wanted == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(wanted, *args, **kwargs)

    return importing
