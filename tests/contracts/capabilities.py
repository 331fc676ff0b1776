"""The contract: what only some can do, each capability a mixin for the plugins that provide its interface."""

from __future__ import annotations

from tests.contracts.harness import OWNER, Harness
from vmcontroller.errors import EmulationRefused, UnknownVM
from vmcontroller.interfaces import ICpuCap, IMacAddress, IMetrics, IProbe, IScreenshot


class Metrics(Harness):
    """IMetrics."""

    async def test_metrics(self) -> None:
        """A machine's use of processor and memory are numbers, and a running one uses memory."""
        vm = await self.running()
        stats = await self.soon(self.hypervisor.getStats(vm))
        self.assertGreaterEqual(stats["cpuSeconds"], 0.0)
        self.assertGreater(stats["memoryBytes"], 0)
        await self.fails(UnknownVM, self.hypervisor.getStats("nobody"))


class Screenshot(Harness):
    """IScreenshot."""

    async def test_screenshot(self) -> None:
        """The screen of a running machine is a PNG picture."""
        picture = await self.soon(self.hypervisor.screenshot(await self.running()))
        self.assertTrue(picture.startswith(b"\x89PNG\r\n\x1a\n"))
        await self.fails(UnknownVM, self.hypervisor.screenshot("nobody"))


class CpuCap(Harness):
    """ICpuCap."""

    async def test_cpu_cap(self) -> None:
        """A running machine can be held to a share of the processors."""
        vm = await self.running()
        await self.soon(self.hypervisor.setCpuCap(vm, 50))
        await self.soon(self.hypervisor.setCpuCap(vm, 100))
        await self.fails(UnknownVM, self.hypervisor.setCpuCap("nobody", 50))


class MacAddress(Harness):
    """IMacAddress."""

    async def test_mac_address(self) -> None:
        """Each machine has a network card's address of its own."""
        found = [await self.soon(self.hypervisor.macAddress(await self.create(number))) for number in (1, 2)]
        for address in found:
            self.assertRegex(address, r"\A[0-9A-F]{2}(:[0-9A-F]{2}){5}\Z")
        self.assertNotEqual(*found)


class Probe(Harness):
    """IProbe."""

    async def test_emulation(self) -> None:
        """A machine that must not be emulated is made where the processor itself runs it, and refused elsewhere."""
        here = await self.soon(IProbe(self.make(self.directory(), OWNER)).probe())
        making = self.hypervisor.createVM(self.spec(emulation=False))
        if here.accelerated:
            await self.soon(making)
        else:
            await self.fails(EmulationRefused, making)
            self.assertEqual(await self.soon(self.hypervisor.machines()), [])


#: Which tests a plugin needs for each optional interface that it provides.
CAPABILITIES = {IMetrics: Metrics, IScreenshot: Screenshot, ICpuCap: CpuCap, IMacAddress: MacAddress, IProbe: Probe}
