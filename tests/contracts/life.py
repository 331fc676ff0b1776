"""The contract: what becomes of a machine from its creation to its end."""

from __future__ import annotations

from tests.contracts.harness import Harness, S


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

    async def test_shutdown(self) -> None:
        """The guest obeys the power button: the machine becomes PoweredOff, not Aborted."""
        vm = await self.running()
        await self.knock()
        await self.soon(self.hypervisor.shutdown(vm))
        await self.until(vm, S.POWERED_OFF)

    async def test_reset(self) -> None:
        """After a reset the machine runs anew."""
        vm = await self.running()
        await self.knock()  # QEMU does not survive a reset in the first milliseconds of its firmware.
        await self.soon(self.hypervisor.reset(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_pause_and_resume(self) -> None:
        """A Paused machine goes on."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.assertState(vm, S.PAUSED)
        await self.soon(self.hypervisor.resume(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()

    async def test_power_off_while_paused(self) -> None:
        """A Paused machine can be switched off, and starts again."""
        vm = await self.running()
        await self.soon(self.hypervisor.pause(vm))
        await self.soon(self.hypervisor.powerOff(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()

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
        """A Saved machine has no address; without its saved state it is PoweredOff, and starts."""
        vm = await self.running()
        await self.soon(self.hypervisor.saveState(vm))
        await self.assertState(vm, S.SAVED)
        self.assertIsNone(await self.soon(self.hypervisor.guestAddress(vm)))
        await self.soon(self.hypervisor.discardState(vm))
        await self.assertState(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.knock()

    async def test_remove(self) -> None:
        """A machine can be removed in any state, and its id and name are free then."""
        ways: list[list[str]] = [[], ["start"], ["start", "pause"], ["start", "saveState"]]
        for verbs in ways:
            vm = await self.create()
            for name in verbs:
                await self.soon(getattr(self.hypervisor, name)(vm))
            await self.soon(self.hypervisor.removeVM(vm))
            self.assertEqual(await self.soon(self.hypervisor.machines()), [])
