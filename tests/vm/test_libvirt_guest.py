"""The built image under a real libvirtd: its agent is reached through QEMU's forwards, also after it was put away."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

import pytest
from twisted.internet import reactor
from twisted.internet.defer import TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.contracts.harness import Visitor
from tests.vm import guest_image
from vmcontroller.errors import BuildFailed
from vmcontroller.hypervisors.libvirt.hypervisor import LibvirtHypervisor
from vmcontroller.images.debian import tools
from vmcontroller.machine import MachineSpec, MachineState

pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")
from tests.vm.libvirtd import Libvirtd, missing

SECRET = "s" * 64
SEED = {"id": "vm", "name": "VM", "group": "g", "daemon": "d", "secret": SECRET, "setClock": True}


class TestGuest(TestCase):
    """From its creation to its end."""

    timeout = 300

    async def setUp(self) -> None:
        if missing():
            raise SkipTest(missing())
        try:
            tools.require()
            self.image = guest_image.shelf().find("default")
        except BuildFailed as error:
            raise SkipTest(str(error)) from error
        self.place = Path(tempfile.mkdtemp(prefix="vmc-libvirtd-"))
        self.addCleanup(shutil.rmtree, self.place)
        self.libvirtd = Libvirtd(self.place)
        self.libvirtd.start()
        self.addCleanup(self.libvirtd.stop)
        self.hypervisor = LibvirtHypervisor(reactor, self.place / "state", "owner", self.libvirtd.uri)
        await self.hypervisor.connect()
        self.addCleanup(self.hypervisor.disconnect, True)

    async def knock(self) -> None:
        """Go through the guest's door; while it boots, QEMU accepts and cuts the connection at once."""
        end = time.monotonic() + 120
        while not await self.is_let_in():
            self.assertLess(time.monotonic(), end, "the agent does not answer")
            await deferLater(reactor, 0.2)

    async def is_let_in(self) -> bool:
        address = await self.hypervisor.guestAddress("vm")
        assert address is not None
        visitor = Visitor(SECRET)
        try:
            await connectProtocol(TCP4ClientEndpoint(reactor, address.host, address.door_port), visitor)
            await visitor.inside.addTimeout(5, reactor)
        except (ConnectError, ConnectionClosed, TimeoutError):
            return False
        finally:
            if visitor.transport is not None:
                visitor.transport.abortConnection()
        return True

    async def test_life(self) -> None:
        """It boots, is seen, saved, restored, kept in a snapshot, brought back, and obeys the power button."""
        await self.hypervisor.createVM(MachineSpec("vm", "VM", "g", image=str(self.image), seed=SEED))
        self.addCleanup(self.hypervisor.removeVM, "vm")
        await self.hypervisor.start("vm")
        await self.knock()
        self.assertTrue((await self.hypervisor.screenshot("vm")).startswith(b"\x89PNG"))
        await self.hypervisor.takeSnapshot("vm", "s", "")
        await self.hypervisor.saveState("vm")
        await self.hypervisor.start("vm")
        await self.knock()
        await self.hypervisor.powerOff("vm")
        await self.hypervisor.restoreSnapshot("vm", "s")
        await self.hypervisor.start("vm")
        await self.knock()
        await self.hypervisor.shutdown("vm")
        while (await self.hypervisor.machines())[0].state is not MachineState.POWERED_OFF:
            await deferLater(reactor, 0.1)
