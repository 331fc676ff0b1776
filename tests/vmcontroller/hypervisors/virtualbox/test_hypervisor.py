"""What the contract does not know of: VirtualBox's own ways to fail, and what others do to our machines meanwhile."""

from __future__ import annotations

import builtins
import socket
import sys
from pathlib import Path
from typing import Any

import virtualbox as pyvbox
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.vmcontroller.hypervisors.virtualbox.case import WithFake
from tests.vmcontroller.hypervisors.virtualbox.fake_vboxapi import ServingThread
from vmcontroller.errors import (
    BadImage,
    BadRequest,
    BadState,
    HypervisorFailed,
    HypervisorMissing,
    NetworkRefused,
    UnknownVM,
)
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
    """As closed as VirtualBox lets it be."""

    async def test_no_network(self) -> None:
        """A machine with a network is refused, with the reason."""
        failure = await self.assertFailure(self.hypervisor.createVM(self.spec(network=True)), NetworkRefused)
        self.assertIn("loopback", str(failure))

    async def test_closed(self) -> None:
        """What the NAT opens for the guest it has to bind to an address that no host has."""
        vm = await self.running()
        engine = self.fake(vm).adapter.NATEngine
        self.assertEqual((engine.hostIP, engine.localhostReachable), ("192.0.2.1", False))
        self.assertEqual({rule.split(",")[2] for rule in engine.redirects}, {"127.0.0.1"})

    async def test_other_rules_go(self) -> None:
        """A rule that somebody added is gone at the next start."""
        vm = await self.running()
        await self.hypervisor.powerOff(vm)
        self.fake(vm).adapter.NATEngine.addRedirect("ssh", 1, "", 2222, "", 22)
        await self.hypervisor.start(vm)
        names = [rule.split(",")[0] for rule in self.fake(vm).adapter.NATEngine.redirects]
        self.assertEqual(names, ["chirp", "door"])

    async def test_port_was_taken_meanwhile(self) -> None:
        """A port that VirtualBox could not open is chosen anew, though VirtualBox does not complain."""
        await self.hypervisor.createVM(self.spec())
        machine = self.fake("vm-1")
        self.patch(machine, "_listen", lambda rule: None)
        await self.hypervisor.start("vm-1")
        address = await self.hypervisor.guestAddress("vm-1")
        with socket.socket() as one:
            one.bind((address.host, address.door_port))


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

    async def test_not_isolated(self) -> None:
        """It says that it isolates nothing, so that it is never chosen by itself."""
        answer = await self.make(self.folder / "state", "o").probe()
        self.assertFalse(answer.isolated)
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
