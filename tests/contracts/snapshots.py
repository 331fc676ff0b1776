"""The contract: what snapshots hold, and what they are called."""

from __future__ import annotations

import time

from tests.contracts.harness import ODD_NAMES, Harness, S
from vmcontroller.errors import SnapshotExists, UnknownSnapshot

ODD_SNAPSHOTS = [*ODD_NAMES, "..", "a/b", "../../up", "a\\b", ""]


class Snapshots(Harness):
    """Taken, listed, restored, deleted."""

    async def names(self, vm: str) -> list[str]:
        return [snapshot.name for snapshot in await self.soon(self.hypervisor.listSnapshots(vm))]

    async def test_snapshots_are_listed(self) -> None:
        """Snapshots are listed oldest first, with description and time."""
        vm = await self.create()
        self.assertEqual(await self.names(vm), [])
        before = time.time()
        for name in ("one", "two", "three"):
            await self.soon(self.hypervisor.takeSnapshot(vm, name, f"the {name}"))
        found = await self.soon(self.hypervisor.listSnapshots(vm))
        self.assertEqual([(s.name, s.description) for s in found], [(n, f"the {n}") for n in ("one", "two", "three")])
        for snapshot in found:
            self.assertTrue(before - 2 <= snapshot.taken <= time.time() + 2, snapshot.taken)

    async def test_snapshot_in_any_state(self) -> None:
        """A snapshot leaves the machine in the state that it was in."""
        vm = await self.create()
        for number, (verb, state) in enumerate([("", S.POWERED_OFF), ("start", S.RUNNING), ("pause", S.PAUSED)]):
            if verb:
                await self.soon(getattr(self.hypervisor, verb)(vm))
            await self.soon(self.hypervisor.takeSnapshot(vm, f"s{number}", ""))
            await self.assertState(vm, state)
        await self.soon(self.hypervisor.resume(vm))
        await self.knock()

    async def test_snapshot_refusals(self) -> None:
        """A name that is taken and one that is unknown are refused, and nothing is changed."""
        vm = await self.create()
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", "first"))
        await self.fails(SnapshotExists, self.hypervisor.takeSnapshot(vm, "s", "second"))
        await self.fails(UnknownSnapshot, self.hypervisor.restoreSnapshot(vm, "other"))
        await self.fails(UnknownSnapshot, self.hypervisor.deleteSnapshot(vm, "other"))
        (snapshot,) = await self.soon(self.hypervisor.listSnapshots(vm))
        self.assertEqual(snapshot.description, "first")
        await self.assertState(vm, S.POWERED_OFF)

    async def test_snapshot_deleted(self) -> None:
        """Deleting one snapshot leaves the others, and its name is free."""
        vm = await self.running()
        for name in ("one", "two", "three"):
            await self.soon(self.hypervisor.takeSnapshot(vm, name, ""))
        await self.soon(self.hypervisor.deleteSnapshot(vm, "two"))
        self.assertEqual(await self.names(vm), ["one", "three"])
        await self.soon(self.hypervisor.takeSnapshot(vm, "two", ""))
        self.assertEqual(await self.names(vm), ["one", "three", "two"])

    async def test_odd_snapshot_names(self) -> None:
        """Any text can name a snapshot; none leads out of its place, and no two are taken for one."""
        vm = await self.create()
        for name in ODD_SNAPSHOTS:
            await self.soon(self.hypervisor.takeSnapshot(vm, name, name))
        await self.again()
        self.assertEqual(await self.names(vm), ODD_SNAPSHOTS)
        for name in ODD_SNAPSHOTS:
            await self.soon(self.hypervisor.restoreSnapshot(vm, name))
            await self.soon(self.hypervisor.deleteSnapshot(vm, name))
        self.assertEqual(await self.names(vm), [])
