"""The contract: daemons come and go, and the machines stay."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.contracts.harness import Harness, S
from vmcontroller.errors import UnknownVM


class Succession(Harness):
    """What the next daemon finds."""

    async def test_found_again(self) -> None:
        """The next daemon finds every machine as the last one left it."""
        vm = await self.running()
        await self.create(2)
        await self.soon(self.hypervisor.takeSnapshot("vm-2", "s", ""))
        await self.soon(self.hypervisor.saveState(await self.running(3)))
        await self.soon(self.hypervisor.pause(await self.running(4)))
        before = await self.soon(self.hypervisor.machines())
        await self.again()
        after = await self.soon(self.hypervisor.machines())
        self.assertEqual(sorted(after, key=str), sorted(before, key=str))
        self.assertEqual([snapshot.name for snapshot in await self.soon(self.hypervisor.listSnapshots("vm-2"))], ["s"])
        await self.knock(vm)
        await self.soon(self.hypervisor.resume("vm-4"))
        await self.knock("vm-4")

    async def test_removed_behind_our_back(self) -> None:
        """A machine whose directory somebody takes away is unknown from then on; nothing is left, its name is free."""
        vm = await self.create()
        place = next(path for path in self.state_dir.rglob(vm) if path.is_dir())
        place.rename(Path(self.root) / "taken away")
        await self.fails(UnknownVM, self.hypervisor.start(vm))
        self.assertEqual(await self.soon(self.hypervisor.machines()), [])
        end = time.monotonic() + self.deadline
        while left := self.leftovers():
            self.assertLess(time.monotonic(), end, f"left: {left}")
            await deferLater(reactor, 0.02)
        await self.running()
        await self.knock()

    async def test_disconnect_and_stop(self) -> None:
        """With stop no machine runs on: each is Saved or PoweredOff."""
        vm = await self.running()
        await self.create(2)
        await self.again(stop=True)
        await self.assertState(vm, S.SAVED, S.POWERED_OFF)
        await self.assertState("vm-2", S.POWERED_OFF)
