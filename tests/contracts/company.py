"""The contract: many machines, many verbs, odd names and several daemons at once."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from tests.contracts.harness import ODD_NAMES, OTHER_OWNER, Harness, S
from vmcontroller.errors import BadState, UnknownVM


class Company(Harness):
    """No machine is alone."""

    async def test_one_verb_at_a_time(self) -> None:
        """Verbs that are said at once are obeyed one after the other."""
        vm = await self.create()
        start, second, power_off = (getattr(self.hypervisor, name)(vm) for name in ("start", "start", "powerOff"))
        await self.fails(BadState, second)
        await gatherResults([self.soon(start), self.soon(power_off)])
        await self.assertState(vm, S.POWERED_OFF)

    async def test_many(self) -> None:
        """Many machines start, run and stop side by side, each with ports of its own."""
        numbers = range(self.many)
        vms = await gatherResults([Deferred.fromCoroutine(self.running(number)) for number in numbers])
        addresses = [await self.soon(self.hypervisor.guestAddress(vm)) for vm in vms]
        ports = {(address.host, port) for address in addresses for port in (address.door_port, address.chirp_port)}
        self.assertEqual(len(ports), 2 * self.many)
        await gatherResults([Deferred.fromCoroutine(self.knock(vm)) for vm in vms])
        await self.soon(gatherResults([self.hypervisor.powerOff(vm) for vm in vms]))

    async def test_odd_names(self) -> None:
        """A name may hold spaces, quotes, any script and what a shell would take for a command."""
        for number, name in enumerate(ODD_NAMES):
            await self.create(number, name=name)
        await self.again()
        machines = await self.soon(self.hypervisor.machines())
        self.assertEqual(sorted(machine.name for machine in machines), sorted(ODD_NAMES))
        await self.soon(self.hypervisor.start("vm-2"))
        await self.knock("vm-2")

    async def test_two_owners(self) -> None:
        """Two daemons neither see nor touch each other's machines, though these have the same id and name."""
        other = await self.connected(self.directory(), OTHER_OWNER)
        vm = await self.running()
        self.assertEqual(await self.soon(other.machines()), [])
        await self.fails(UnknownVM, other.powerOff(vm))
        await self.soon(other.createVM(self.spec()))
        await self.soon(other.start(vm))
        await self.soon(other.removeVM(vm))
        await self.assertState(vm, S.RUNNING)
        await self.knock()
