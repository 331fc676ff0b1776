"""The contract: what becomes of a machine from its creation to its end."""

from __future__ import annotations

from tests.contracts.harness import Harness, S
from vmcontroller.interfaces import IKeepsPrograms


class Life(Harness):
    """Each verb does what it says."""

    async def test_created(self) -> None:
        """A new machine is listed with what it was made from, is PoweredOff and has no address."""
        vm = await self.create(name="worker 1", group="task-7")
        (machine,) = await self.soon(self.hypervisor.machines())
        self.assertEqual((machine.id, machine.name, machine.group), (vm, "worker 1", "task-7"))
        self.assertEqual(machine.state, S.POWERED_OFF)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))

    async def test_start_and_power_off(self) -> None:
        """A started machine is Running and its guest is reached; one whose power is off has no address."""
        vm = await self.create()
        starting = self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.STARTING, S.RUNNING)
        await starting
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        await self.soon(self.hypervisor.powerOff(vm))
        await self.assertState(vm, S.POWERED_OFF)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))

    async def test_power_off_ends_programs(self) -> None:
        """When powerOff has fired no program of the machine runs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        self.assertTrue(await runs())
        await self.soon(self.hypervisor.powerOff(vm))
        self.assertFalse(await runs())

    async def test_shutdown(self) -> None:
        """The guest obeys the power button: the machine becomes PoweredOff, not Aborted."""
        vm = await self.running()
        await self.knock()
        await self.soon(self.hypervisor.shutdown(vm))
        await self.until(vm, S.POWERED_OFF)

    async def test_reset(self) -> None:
        """After a reset the machine runs anew, without its programs, and its disk is as it was."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.reset(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        self.assertFalse(await runs())
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")

    async def test_pause_and_resume(self) -> None:
        """A Paused machine goes on where it was."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.pause(vm))
        await self.assertState(vm, S.PAUSED)
        await self.soon(self.hypervisor.resume(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()
        self.assertTrue(await runs())

    async def test_power_off_while_paused(self) -> None:
        """A Paused machine can be switched off, and starts again."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.powerOff(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()

    async def test_save_and_start(self) -> None:
        """A Saved machine starts with its disk, and with its programs if the plugin keeps programs."""
        vm = await self.running()
        await self.write(self.hypervisor, vm, "kept")
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.assertState(vm, S.SAVED)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertEqual(await self.read(self.hypervisor, vm), "kept")
        self.assertEqual(await runs(), IKeepsPrograms.providedBy(self.hypervisor))

    async def test_save_while_paused(self) -> None:
        """A Paused machine can be saved, and runs when it is started."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.saveState(vm))
        await self.assertState(vm, S.SAVED)
        await self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_discard_state(self) -> None:
        """Without its saved state a machine is PoweredOff and starts without its programs."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.soon(self.hypervisor.saveState(vm))
        await self.soon(self.hypervisor.discardState(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()
        self.assertFalse(await runs())

    async def test_crash(self) -> None:
        """A machine that ends by itself is Aborted, has no address, leaves no program, and starts again."""
        vm = await self.running()
        runs = await self.run_program(self.hypervisor, vm)
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
        self.assertFalse(await runs())
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))
        await self.soon(self.hypervisor.start(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_crash_while_paused(self) -> None:
        """A Paused machine that ends is Aborted, too."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)

    async def test_remove(self) -> None:
        """A machine can be removed in any state, and its id and name are free then."""
        ways: list[list[str]] = [[], ["start"], ["start", "pause"], ["start", "saveState"]]
        for verbs in ways:
            vm = await self.create()
            for name in verbs:
                await self.soon(getattr(self.hypervisor, name)(vm))
            await self.soon(self.hypervisor.removeVM(vm))
            self.assertEqual(await self.soon(self.hypervisor.machines()), [])
