"""The contract: the shape of a plugin, and what only some can do."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from zope.interface.verify import verifyObject

from tests.contracts.harness import Harness
from vmcontroller import interfaces
from vmcontroller.errors import EmulationRefused, UnknownVM
from vmcontroller.interfaces import IHypervisor


class Extras(Harness):
    """Whoever claims a capability has it."""

    async def test_shape(self) -> None:
        """It provides every method of IHypervisor, and of each other interface that it claims."""
        verifyObject(IHypervisor, self.hypervisor)
        for optional in ("IKeepsPrograms", "IScreenshot", "IMetrics", "ICpuCap", "IMacAddress", "IProbe"):
            interface = getattr(interfaces, optional)
            if interface.providedBy(self.hypervisor):
                verifyObject(interface, self.hypervisor)

    async def test_version(self) -> None:
        """The version is a text."""
        self.assertRegex(await self.soon(self.hypervisor.version()), r"\S")

    async def test_metrics(self) -> None:
        """A machine's use of processor and memory are numbers, and a running one uses memory."""
        self.needs(interfaces.IMetrics)
        vm = await self.running()
        stats = await self.soon(self.hypervisor.getStats(vm))
        self.assertGreaterEqual(stats["cpuSeconds"], 0.0)
        self.assertGreater(stats["memoryBytes"], 0)
        await self.fails(UnknownVM, self.hypervisor.getStats("nobody"))

    async def test_screenshot(self) -> None:
        """The screen of a running machine is a PNG picture."""
        self.needs(interfaces.IScreenshot)
        picture = await self.soon(self.hypervisor.screenshot(await self.running()))
        self.assertTrue(picture.startswith(b"\x89PNG\r\n\x1a\n"))
        await self.fails(UnknownVM, self.hypervisor.screenshot("nobody"))

    async def test_cpu_cap(self) -> None:
        """A running machine can be held to a share of the processors."""
        self.needs(interfaces.ICpuCap)
        vm = await self.running()
        await self.soon(self.hypervisor.setCpuCap(vm, 50))
        await self.soon(self.hypervisor.setCpuCap(vm, 100))
        await self.fails(UnknownVM, self.hypervisor.setCpuCap("nobody", 50))

    async def test_mac_address(self) -> None:
        """Each machine has a network card's address of its own."""
        self.needs(interfaces.IMacAddress)
        found = [await self.soon(self.hypervisor.macAddress(await self.create(number))) for number in (1, 2)]
        for address in found:
            self.assertRegex(address, r"\A[0-9A-F]{2}(:[0-9A-F]{2}){5}\Z")
        self.assertNotEqual(*found)

    async def test_emulation(self) -> None:
        """A machine that must not be emulated is made where the processor itself runs it, and refused elsewhere."""
        self.needs(interfaces.IProbe)
        here = await self.soon(interfaces.IProbe(self.make(self.directory(), "owner-one")).probe())
        making = self.hypervisor.createVM(self.spec(emulation=False))
        if here.accelerated:
            await self.soon(making)
        else:
            await self.fails(EmulationRefused, making)
            self.assertEqual(await self.soon(self.hypervisor.machines()), [])

    def needs(self, interface: Any) -> None:
        if not interface.providedBy(self.hypervisor):
            raise SkipTest(f"this plugin does not provide {interface.__name__}")
