"""The contract: machines that end by themselves, for plugins whose test can make one end so."""

from __future__ import annotations

from tests.contracts.harness import S
from tests.contracts.refusals import Refusals
from vmcontroller.interfaces import IHypervisor


class Accidents(Refusals):
    """Ends are noticed."""

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        """End a running machine from outside, as an accident would."""
        raise NotImplementedError

    async def test_crash(self) -> None:
        """A machine that ends by itself is Aborted, has no address, and starts again."""
        vm = await self.running()
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
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

    async def test_bad_states_after_crash(self) -> None:
        """An Aborted machine is refused what a PoweredOff one is refused."""
        vm = await self.running()
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)
        await self.refuses(vm, S.ABORTED)

    async def test_found_again_and_watched(self) -> None:
        """A machine that the last daemon started obeys this one, and its end is noticed."""
        vm = await self.running()
        await self.again()
        await self.soon(self.hypervisor.reset(vm))
        await self.again()
        await self.crash(self.hypervisor, vm)
        await self.until(vm, S.ABORTED)

    async def test_crash_while_nobody_looks(self) -> None:
        """A machine that ended between two daemons is Aborted."""
        vm = await self.running()
        self.made.remove(self.hypervisor)
        await self.soon(self.hypervisor.disconnect(False))
        await self.crash(self.hypervisor, vm)
        self.hypervisor = await self.connected(self.state_dir)
        await self.until(vm, S.ABORTED)
