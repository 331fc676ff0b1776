"""What the API adds to the verbs of a hypervisor that not every one has."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from tests.vmcontroller.doubles import result
from tests.vmcontroller.house import House
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.api.machines import MachineMethods
from vmcontroller.errors import BadRequest, Unsupported
from vmcontroller.interfaces import ICpuCap, IScreenshot
from vmcontroller.machine import MachineSpec


@implementer(ICpuCap, IScreenshot)
class Able(MemoryHypervisor):
    """One that can do more."""

    def setCpuCap(self, vm: str, percent: int) -> Deferred[None]:
        return self._do("setCpuCap", lambda vm, percent: None, vm, percent)

    def screenshot(self, vm: str) -> Deferred[bytes]:
        return succeed(b"\x89PNG")


@pytest.fixture
def api(house: House) -> MachineMethods:
    """The methods, for a house with the VM A."""
    nobody: Any = None
    house.machines.hypervisor = house.hypervisor = Able()
    house.make("A")
    return MachineMethods(house.machines, house.controller, nobody, house.clock, lambda image: image == "named")


def test_cpu_cap(house: House, api: MachineMethods) -> None:
    """A share of the processors, in per cent."""
    assert result(api.setCpuCap("A", 50)) is True
    (vm,) = house.hypervisor.vms
    assert house.hypervisor.log[-1] == ("setCpuCap", vm, 50)
    for percent in (0, 101, -1):
        with pytest.raises(BadRequest, match="between 1 and 100"):
            result(api.setCpuCap("A", percent))


@pytest.mark.parametrize(
    ("image", "cwd", "meant"),
    [
        ("", "", ""),
        ("named", "", "named"),
        ("named", "/home/me", "named"),
        ("./named", "/home/me", "/home/me/named"),
        ("x.qcow2", "/home/me", "/home/me/x.qcow2"),
        ("../x.qcow2", "/home/me", "/home/x.qcow2"),
        ("/x.qcow2", "", "/x.qcow2"),
    ],
)
def test_which_image_is_meant(house: House, api: MachineMethods, image: str, cwd: str, meant: str) -> None:
    """One with this name in the store, or else the file at this path, as the caller sees it."""
    result(api.createVM("B", image, {"id": "b"}, cwd=cwd))
    assert house.hypervisor.specs["b"].image == meant


@pytest.mark.parametrize(
    ("image", "cwd", "why"),
    [
        ("x.qcow2", "", "'x.qcow2' is no image's name in the store, and as a path it is relative"),
        ("x.qcow2", "home/me", "cwd in the URL must be an absolute path"),
        ("/x\0", "", "is missing"),
    ],
)
def test_an_image_that_nobody_can_find(house: House, api: MachineMethods, image: str, cwd: str, why: str) -> None:
    """A path that would count from wherever the daemon was started, and worse, is refused before a VM is made."""
    with pytest.raises(BadRequest, match=why):
        result(api.createVM("B", image, {"id": "b"}, cwd=cwd))
    assert list(house.hypervisor.specs) == list(house.hypervisor.vms) != ["b"]


def test_how_far_a_creation_is(house: House, api: MachineMethods) -> None:
    """Told while the image is read; nothing is known before and afterwards."""
    told: list[dict[str, int]] = []

    class Reading(MemoryHypervisor):
        def createVM(self, spec: MachineSpec) -> Deferred[None]:
            told.append(api.getCreation("B"))
            spec.progress(3 << 30, 5 << 30)
            told.append(api.getCreation("B"))
            return super().createVM(spec)

    house.machines.hypervisor = Reading()
    result(api.createVM("B", cwd=""))
    nothing = {"done": 0, "total": 0}
    assert [*told, api.getCreation("B")] == [nothing, {"done": 3 << 30, "total": 5 << 30}, nothing]


def test_screenshot_and_statistics(api: MachineMethods) -> None:
    """PNG as Binary; all numbers, or one of them."""
    assert result(api.screenshot("A")).data == b"\x89PNG"
    assert result(api.getStats("A")) == {"cpuSeconds": 1.5, "memoryBytes": 2.0}
    assert result(api.getStats("A", "cpuSeconds")) == {"cpuSeconds": 1.5}
    with pytest.raises(BadRequest, match="cpuSeconds, memoryBytes"):
        result(api.getStats("A", "colour"))


def test_a_hypervisor_that_cannot(house: House, api: MachineMethods) -> None:
    """The fault names what it can do."""
    house.machines.hypervisor = MemoryHypervisor()
    house.machines.hypervisor.vms = house.hypervisor.vms
    with pytest.raises(Unsupported, match="memory has no setCpuCap; beyond the common verbs it has: IMetrics"):
        result(api.setCpuCap("A", 50))
