"""Snapshots of real QEMUs: whole or not there, few layers, and a machine that never suffers from them."""

from __future__ import annotations

import errno
from unittest import mock

from tests.vmcontroller.hypervisors.qemu.case import VM, QemuTestCase, S
from tests.vmcontroller.hypervisors.qemu.damage import change, cut, full, remove
from vmcontroller.errors import DiskFull, HypervisorFailed, SnapshotDamaged, SnapshotExists
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.qemu import generations, layers, migration
from vmcontroller.hypervisors.qemu.commandline import DISK
from vmcontroller.hypervisors.qemu.generations import all_of


class SnapshotCase(QemuTestCase):
    """Writes on the disk past the guest, and reads it back."""

    async def put(self, letter: str) -> None:
        """Fill the sixth 64 KiB of a running machine's disk with a letter."""
        monitor = self.machine.life.monitor
        await monitor.human(f'qemu-io -d {DISK} "write -P {ord(letter)} 384k 64k"')
        await monitor.human(f'qemu-io -d {DISK} "flush"')

    def seen(self) -> str:
        """The letter, as the machine that is off has it on its disk."""
        target = self.root / "seen"
        layers.run("convert", "-O", "raw", self.layers.path(self.home.load().layer), target)
        return chr(target.read_bytes()[400 << 10])

    async def restored(self, name: str) -> str:
        await self.hypervisor.restoreSnapshot(VM, name)
        return self.seen()

    async def names(self) -> list[str]:
        return [snapshot.name for snapshot in await self.hypervisor.listSnapshots(VM)]


class TestGenerations(SnapshotCase):
    """Two generations are kept, for ever."""

    async def test_layers_stay_few(self) -> None:
        """However many come and go while it runs, the disk has few layers and each generation what it had."""
        await self.running()
        for number in range(8):
            await self.put("abcdefgh"[number])
            await self.hypervisor.takeSnapshot(VM, f"g{number}", "")
            if number >= 2:
                await self.hypervisor.deleteSnapshot(VM, f"g{number - 2}")
            self.assertLessEqual(len(self.layers.numbers()), 4)
            await self.assertRuns()
        self.assertEqual(await self.names(), ["g6", "g7"])
        await self.put("z")
        await self.hypervisor.powerOff(VM)
        self.assertEqual(self.seen(), "z")
        self.assertEqual(
            [await self.restored("g6"), await self.restored("g7"), await self.restored("g6")], ["g", "h", "g"]
        )
        self.assertEqual(len(self.layers.numbers()), 3)

    async def test_layers_stay_few_while_it_is_off(self) -> None:
        """So it is with a machine that is off."""
        await self.hypervisor.createVM(self.spec())
        for number in range(6):
            await self.hypervisor.takeSnapshot(VM, f"g{number}", "")
            if number >= 2:
                await self.hypervisor.deleteSnapshot(VM, f"g{number - 2}")
            self.assertLessEqual(len(self.layers.numbers()), 4)
        for name in await self.names():
            await self.hypervisor.deleteSnapshot(VM, name)
        self.assertLessEqual(len(self.layers.numbers()), 2)

    async def test_branches(self) -> None:
        """What was restored goes its own way; each snapshot keeps what it had, whichever is deleted."""
        await self.running()
        for letter in "abc":
            await self.put(letter)
            await self.hypervisor.takeSnapshot(VM, letter, "")
        await self.hypervisor.powerOff(VM)
        self.assertEqual(await self.restored("a"), "a")
        await self.hypervisor.start(VM)
        await self.put("d")
        await self.hypervisor.takeSnapshot(VM, "d", "")
        await self.hypervisor.deleteSnapshot(VM, "a")
        await self.hypervisor.deleteSnapshot(VM, "b")
        await self.hypervisor.powerOff(VM)
        self.assertEqual(
            [await self.restored("d"), await self.restored("c"), await self.restored("d")], ["d", "c", "d"]
        )

    async def test_pause(self) -> None:
        """How long the guest stood still is measured and kept; it is short, and nothing for a Paused machine."""
        await self.running()
        await self.hypervisor.takeSnapshot(VM, "running", "")
        await self.hypervisor.pause(VM)
        await self.hypervisor.takeSnapshot(VM, "paused", "")
        pauses = {found.name: found.pause for found in all_of(self.home).values()}
        self.assertTrue(0 < pauses["running"] < 2, pauses)
        self.assertEqual(pauses["paused"], 0.0)

    async def test_saved_machine(self) -> None:
        """A snapshot of a Saved machine holds its programs, and outlives the saved state."""
        await self.running()
        await self.hypervisor.saveState(VM)
        await self.hypervisor.takeSnapshot(VM, "s", "")
        await self.hypervisor.discardState(VM)
        await self.hypervisor.restoreSnapshot(VM, "s")
        self.assertIs(await self.state(), S.SAVED)
        await self.hypervisor.start(VM)
        await self.assertRuns()
        self.assertEqual(await self.debris(), [])

    async def test_busy_guest(self) -> None:
        """A guest that changes its memory faster than it can be written is stopped for the rest."""
        await self.running()
        self.patch(migration, "LIVELY", 0.0)
        await self.hypervisor.takeSnapshot(VM, "s", "")
        await self.assertRuns()
        self.assertEqual(await self.names(), ["s"])


class TestTroubles(SnapshotCase):
    """What fails leaves the machine as it was."""

    async def unharmed(self, *snapshots: str) -> None:
        """It runs, nothing is left over, and the next snapshot succeeds."""
        await self.assertRuns()
        self.assertEqual(await self.names(), list(snapshots))
        self.assertEqual(await self.debris(), [])
        await self.put("n")
        await self.hypervisor.takeSnapshot(VM, "next", "")
        await self.assertRuns()

    async def test_no_room_for_memory(self) -> None:
        """The disk is full before the memory is written."""
        await self.running()
        with mock.patch.object(migration, "new_file", full):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot(VM, "s", ""))
        await self.unharmed()

    async def test_no_room_for_the_manifest(self) -> None:
        """The disk is full when all else is written: the layer is frozen, the snapshot is not there."""
        await self.running()
        with mock.patch.object(generations, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot(VM, "s", ""))
        await self.unharmed()

    async def test_no_room_for_a_layer(self) -> None:
        """There is no room even for an empty layer."""
        await self.running()
        full = DiskFull("no room")
        with mock.patch.object(layers, "run", side_effect=full):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot(VM, "s", ""))
        await self.unharmed()

    async def test_no_room_for_the_record(self) -> None:
        """The record cannot be written, neither forth nor back."""
        await self.running()
        with mock.patch.object(files, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot(VM, "s", ""))
        await self.unharmed()

    async def test_freeze_fails(self) -> None:
        """QEMU refuses the new layer at the last moment."""
        await self.running()
        refused = HypervisorFailed("QEMU refused")
        with mock.patch("vmcontroller.hypervisors.qemu.disk.freeze", side_effect=refused):
            await self.fails(HypervisorFailed, self.hypervisor.takeSnapshot(VM, "s", ""))
        await self.unharmed()

    async def test_off(self) -> None:
        """A machine that is off is left as it was, too."""
        await self.hypervisor.createVM(self.spec())
        with mock.patch.object(generations, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot(VM, "s", ""))
        self.assertEqual((self.layers.numbers(), self.home.load().layer), ([1], 1))
        await self.hypervisor.start(VM)
        await self.unharmed()

    async def test_restore_without_room(self) -> None:
        """A restore that fails leaves the saved state that there was."""
        await self.running()
        await self.hypervisor.takeSnapshot(VM, "s", "")
        await self.hypervisor.saveState(VM)
        with mock.patch.object(files, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.restoreSnapshot(VM, "s"))
        self.assertIs(await self.state(), S.SAVED)
        await self.hypervisor.start(VM)
        self.assertEqual(await self.debris(), [])
        await self.unharmed("s")


class TestDamage(SnapshotCase):
    """What is not whole is not used, and said so; older snapshots are."""

    async def two(self) -> None:
        await self.running()
        for letter in "ab":
            await self.put(letter)
            await self.hypervisor.takeSnapshot(VM, letter, "")
        await self.hypervisor.powerOff(VM)

    async def test_memory(self) -> None:
        """A memory file that was cut, changed or lost; the machine stays as it was, the other one is restored."""
        await self.two()
        memory = self.place_of("b") / "memory"
        for damage in (change, cut, remove):
            damage(memory)
            await self.fails(SnapshotDamaged, self.hypervisor.restoreSnapshot(VM, "b"), "memory")
            self.assertIs(await self.state(), S.POWERED_OFF)
        self.assertEqual(await self.restored("a"), "a")
        self.assertEqual(await self.debris(), [self.home.load().saved])

    async def test_saved_state(self) -> None:
        """It is not started; the machine stays Saved, and starts from its disk when its state was discarded."""
        await self.running()
        await self.hypervisor.saveState(VM)
        change(self.home.path / self.home.load().saved / "memory")
        await self.fails(SnapshotDamaged, self.hypervisor.start(VM), "discardState")
        self.assertIs(await self.state(), S.SAVED)
        await self.hypervisor.discardState(VM)
        await self.hypervisor.start(VM)
        self.assertIs(await self.state(), S.RUNNING)

    async def test_disk(self) -> None:
        """A layer that was changed."""
        await self.two()
        cut(self.layers.path(2))
        await self.fails(SnapshotDamaged, self.hypervisor.restoreSnapshot(VM, "b"), "2.qcow2")
        self.assertEqual(await self.restored("a"), "a")

    async def test_manifest(self) -> None:
        """Without its manifest a snapshot does not exist; its name is free, and it can be deleted."""
        await self.two()
        (self.place_of("b") / "manifest.json").write_text("{")
        self.assertEqual(await self.names(), ["a"])
        await self.fails(SnapshotDamaged, self.hypervisor.restoreSnapshot(VM, "b"))
        await self.hypervisor.deleteSnapshot(VM, "b")
        await self.hypervisor.takeSnapshot(VM, "b", "again")
        await self.fails(SnapshotExists, self.hypervisor.takeSnapshot(VM, "b", "again"))
        self.assertEqual(await self.restored("a"), "a")

    async def test_half_made(self) -> None:
        """What a crash left of a snapshot in the making is swept away by the next daemon."""
        await self.two()
        (self.home.snapshots / ".making-x").mkdir()
        (self.home.path / "saved-y").mkdir()
        self.layers.add(self.machine.record.base, 2)
        await self.again()
        self.assertEqual(await self.debris(), [])
        self.assertEqual(self.layers.numbers(), [1, 2, 3])
        self.assertEqual(await self.names(), ["a", "b"])
