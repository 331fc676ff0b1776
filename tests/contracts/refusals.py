"""The contract: what is refused, with which error, and that nothing is changed then."""

from __future__ import annotations

from twisted.internet.defer import DeferredList

from tests.contracts.harness import OFF, VERBS, Harness, S
from vmcontroller.errors import BadImage, BadState, UnknownVM, VMExists
from vmcontroller.machine import MachineState


class Refusals(Harness):
    """Each row of the table of errors."""

    async def test_unknown_vm(self) -> None:
        """Every verb fails with UnknownVM for an id that no machine has, or has no more."""
        await self.soon(self.hypervisor.removeVM(await self.create(2)))
        for vm in ("nobody", "vm-2"):
            for name in [*VERBS, "removeVM", "listSnapshots", "guestAddress"]:
                await self.fails(UnknownVM, getattr(self.hypervisor, name)(vm))
            await self.fails(UnknownVM, self.hypervisor.takeSnapshot(vm, "s", ""))
            await self.fails(UnknownVM, self.hypervisor.restoreSnapshot(vm, "s"))
            await self.fails(UnknownVM, self.hypervisor.deleteSnapshot(vm, "s"))

    async def refuses(self, vm: str, state: MachineState) -> None:
        await self.assertState(vm, state)
        for name, allowed in VERBS.items():
            if state not in allowed:
                await self.fails(BadState, getattr(self.hypervisor, name)(vm))
        if state not in OFF:
            await self.fails(BadState, self.hypervisor.restoreSnapshot(vm, "s"))
        await self.assertState(vm, state)

    async def test_bad_states(self) -> None:
        """Every verb fails with BadState in the states that do not allow it, and changes nothing."""
        vm = await self.create()
        await self.soon(self.hypervisor.takeSnapshot(vm, "s", ""))
        await self.refuses(vm, S.POWERED_OFF)
        await self.soon(self.hypervisor.start(vm))
        await self.refuses(vm, S.RUNNING)
        await self.knock()
        await self.soon(self.hypervisor.pause(vm))
        await self.refuses(vm, S.PAUSED)
        await self.soon(self.hypervisor.saveState(vm))
        await self.refuses(vm, S.SAVED)

    async def test_exists(self) -> None:
        """An id or a name that is taken is refused, also when both are asked for at once."""
        await self.create()
        await self.fails(VMExists, self.hypervisor.createVM(self.spec(1, name="another name")))
        await self.fails(VMExists, self.hypervisor.createVM(self.spec(2, name="VM 1")))
        twice = [self.hypervisor.createVM(self.spec(3)), self.hypervisor.createVM(self.spec(3))]
        results = await self.soon(DeferredList(twice, consumeErrors=True))
        self.assertEqual([result.type for made, result in results if not made], [VMExists])
        machines = await self.soon(self.hypervisor.machines())
        self.assertEqual({(machine.id, machine.name) for machine in machines}, {("vm-1", "VM 1"), ("vm-3", "VM 3")})

    async def test_bad_image(self) -> None:
        """From a bad image no machine is made, and the next attempt with a good one succeeds."""
        await self.fails(BadImage, self.hypervisor.createVM(self.spec(image=self.bad_image)))
        self.assertEqual(await self.soon(self.hypervisor.machines()), [])
        await self.create()
