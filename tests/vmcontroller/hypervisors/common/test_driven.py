"""A machine that is driven: what its state is when something fails, and who hears of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import TestCase

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common.driven import DrivenMachine, Record
from vmcontroller.hypervisors.common.driven_face import DrivenFace
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.machine import GuestAddress, MachineState

S = MachineState
RECORD = Record("owner", "vm", "VM", "g", "", memory_mb=64, cpus=1, network=False)


class Drive:
    """Does what its name says, or fails with ``trouble`` where it has one; ``log`` holds what it was told."""

    def __init__(self) -> None:
        self.now: MachineState | None = None
        self.trouble: dict[str, Exception] = {}
        self.log: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        ends = {"start": S.RUNNING, "resume": S.RUNNING, "suspend": S.PAUSED, "save": S.SAVED, "stop": None}

        def do(*arguments: Any) -> MachineState | None:
            self.log.append(verb)
            if verb in self.trouble:
                raise self.trouble[verb]
            self.now = ends.get(verb, self.now)
            return self.now

        return do


class Way:
    """Two ports that may be out of reach."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None

    async def open(self) -> GuestAddress:
        if self.trouble:
            raise self.trouble
        return GuestAddress("127.0.0.1", 1, 2)

    async def close(self) -> None:
        """Nothing to be done."""


class Face(DrivenFace[DrivenMachine]):
    """A plugin whose only machine is given."""

    name = "driven"

    def _open(self) -> None:
        """Nothing to be done."""


class TestDriven(TestCase):
    """One machine."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.drive, self.way = Drive(), Way()
        self.machine = DrivenMachine(Host(reactor), Home(self.root), RECORD, self.drive, self.way)

    async def fails(self, call: Deferred[Any]) -> None:
        await self.assertFailure(call, HypervisorFailed)

    async def test_start_out_of_reach(self) -> None:
        """A machine that cannot be reached does not stay on."""
        self.way.trouble = HypervisorFailed("no port")
        await self.fails(self.machine.start())
        self.assertEqual((self.drive.now, self.machine.state), (None, S.POWERED_OFF))

    async def test_start_from_saved_out_of_reach(self) -> None:
        """One that was saved is put away again: its programs are not lost."""
        await self.machine.start()
        await self.machine.saveState()
        self.way.trouble = HypervisorFailed("no port")
        await self.fails(self.machine.start())
        self.assertEqual((self.drive.now, self.machine.state), (S.SAVED, S.SAVED))

    async def test_button_that_could_not_be_pressed(self) -> None:
        """An end that follows is an accident."""
        await self.machine.start()
        self.drive.trouble["press"] = HypervisorFailed("no button")
        await self.fails(self.machine.shutdown())
        self.drive.now = None
        await self.machine.look()
        self.assertEqual(self.machine.state, S.ABORTED)

    async def test_left_and_not_to_be_saved(self) -> None:
        """A machine that is to be put away and cannot be saved, or is stuck, is switched off."""
        for state in (S.RUNNING, S.PAUSED, S.STUCK):
            await self.machine.start()
            self.drive.now, self.drive.trouble["save"] = state, HypervisorFailed("no room")
            await self.machine.look()
            await self.machine.leave(True)
            self.assertEqual((self.drive.now, self.machine.state), (None, S.POWERED_OFF))

    async def test_out_of_reach_for_a_while(self) -> None:
        """The next look opens the way."""
        await self.machine.start()
        again = DrivenMachine(Host(reactor), Home(self.root), self.machine.record, self.drive, self.way)
        self.way.trouble = HypervisorFailed("just ending")
        await again.recover()
        self.assertEqual((again.state, again.address), (S.RUNNING, None))
        self.way.trouble = None
        await again.look()
        self.assertIsNotNone(again.address)

    async def test_stuck(self) -> None:
        """What cannot go on can be switched off."""
        await self.machine.start()
        self.drive.now = S.STUCK
        await self.machine.look()
        self.assertEqual((self.machine.state, self.machine.address), (S.STUCK, None))
        await self.machine.powerOff()
        self.assertEqual(self.machine.state, S.POWERED_OFF)

    async def test_trouble_is_told_once(self) -> None:
        """A hypervisor that is away for an hour fills no log; when it is back, and goes again, it is told again."""
        await self.machine.start()
        face = Face(Host(reactor), self.root, "owner", 60.0)
        face._machines["vm"] = self.machine
        said: list[str] = []
        globalLogPublisher.addObserver(note := lambda event: said.append(event["log_level"]))
        self.addCleanup(globalLogPublisher.removeObserver, note)
        for trouble in ("away", "away", "", "away"):
            self.drive.trouble = {"state": HypervisorFailed(trouble)} if trouble else {}
            await face._glance()
        self.assertEqual(said.count(LogLevel.warn), 2)
        self.assertEqual(self.machine.state, S.RUNNING)
