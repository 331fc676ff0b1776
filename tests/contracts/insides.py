"""The contract: what becomes of a machine's programs and of its disk, for plugins whose test can look into machines."""

from __future__ import annotations

from tests.contracts.accidents import Accidents
from tests.contracts.harness import Program, S
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms


class Insides(Accidents):
    """Each verb does to programs and disk what it says, and no more."""

    async def run_program(self, hypervisor: IHypervisor, vm: str) -> Program:
        """Start a program in a running machine; what comes back says whether it still runs."""
        raise NotImplementedError

    async def write(self, hypervisor: IHypervisor, vm: str, text: str) -> None:
        """Put a text on the disk of a running machine."""
        raise NotImplementedError

    async def read(self, hypervisor: IHypervisor, vm: str) -> str:
        """The text that is on the disk of a running machine; "" when there is none."""
        raise NotImplementedError

    # -- life

    async def test_power_off_ends_programs(self) -> None:
        """When powerOff has fired no program of the machine runs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        self.assertTrue(await runs())
        await self.soon(self.hypervisor.powerOff(vm))
        self.assertFalse(await runs())

    async def test_reset_ends_programs(self) -> None:
        """After a reset the machine runs without its programs, and its disk is as it was."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.reset(vm))
        await self.knock()
        self.assertFalse(await runs())
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")

    async def test_pause_keeps_programs(self) -> None:
        """A Paused machine goes on where it was."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.resume(vm))
        await self.knock()
        self.assertTrue(await runs())

    async def test_saved_state_brings_back_the_disk(self) -> None:
        """A Saved machine starts with its disk, and with its programs if the plugin keeps programs."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")
        self.assertEqual(await runs(), IKeepsPrograms.providedBy(self.hypervisor))

    async def test_discard_state_ends_programs(self) -> None:
        """Without its saved state a machine starts without its programs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.soon(self.hypervisor.discardState(vm))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertFalse(await runs())

    async def test_crash_ends_programs(self) -> None:
        """A machine that is Aborted leaves no program."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
        self.assertFalse(await runs())

    # -- snapshots

    async def test_snapshot_brings_back_the_disk(self) -> None:
        """A restored machine has the disk of the snapshot, and its programs if the plugin keeps programs."""
        keeps = IKeepsPrograms.providedBy(self.hypervisor)
        vm = await self.running()
        await self.write(self.hypervisor, vm, "first")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        await self.assertState(vm, S.RUNNING)
        self.assertTrue(await runs())
        await self.write(self.hypervisor, vm, "second")
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "s"))
        await self.assertState(vm, S.SAVED if keeps else S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "first")
        self.assertEqual(await runs(), keeps)

    async def test_snapshot_is_restored_twice(self) -> None:
        """What runs after a restore does not change the snapshot."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "first")
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        for _ in range(2):
            await self.soon(self.hypervisor.powerOff(vm))
            await self.soon(self.hypervisor.restoreSnapshot(vm, "s"))
            await self.soon(self.hypervisor.start(vm))
            await self.knock()
            self.assertEqual(await self.read(self.hypervisor, vm), "first")
            await self.write(self.hypervisor, vm, "second")

    async def test_snapshot_is_whole_without_the_next(self) -> None:
        """Deleting one snapshot leaves what the others hold."""
        vm = await self.running()
        for name in ("one", "two", "three"):
            await self.write(self.hypervisor, vm, name)
            await self.soon(self.hypervisor.takeSnapshot(vm, name, ""))
        await self.soon(self.hypervisor.deleteSnapshot(vm, "two"))
        await self.soon(self.hypervisor.powerOff(vm))
        await self.soon(self.hypervisor.restoreSnapshot(vm, "one"))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "one")

    # -- daemons come and go

    async def test_programs_run_on_without_a_daemon(self) -> None:
        """They run all the while until the next daemon comes."""
        runs = await self.run_program(self.hypervisor, await self.running())
        await self.again()
        self.assertTrue(await runs())

    async def test_disconnect_and_stop_ends_programs(self) -> None:
        """With stop none of them runs on."""
        runs = await self.run_program(self.hypervisor, await self.running())
        await self.again(stop=True)
        self.assertFalse(await runs())
