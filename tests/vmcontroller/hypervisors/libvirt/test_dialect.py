"""Which hypervisor a connection leads to, and what it is worth."""

from __future__ import annotations

from typing import Any

import pytest

from vmcontroller.errors import HypervisorMissing
from vmcontroller.hypervisors.common import processor
from vmcontroller.hypervisors.libvirt import dialect

libvirt: Any = pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")


class Connection:
    """A virConnect of one driver, with or without KVM."""

    def __init__(self, driver: str, kvm: bool = False) -> None:
        self.driver = driver
        self.kvm = kvm

    def getType(self) -> str:
        return self.driver

    def getDomainCapabilities(self, *arguments: Any) -> str:
        if not self.kvm:
            raise libvirt.libvirtError("no kvm")
        return "<domainCapabilities/>"


@pytest.mark.parametrize("virtualises", [True, False])
def test_kvm_only_where_the_processor_virtualises(virtualises: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt's word for KVM is not enough."""
    monkeypatch.setattr(processor, "virtualises", lambda: virtualises)
    assert dialect.spoken(Connection("QEMU", kvm=True)) is (dialect.KVM if virtualises else dialect.TCG)
    assert dialect.spoken(Connection("QEMU", kvm=False)) is dialect.TCG


def test_xen_and_test() -> None:
    """Both are known by their names."""
    assert dialect.spoken(Connection("Xen")) is dialect.XEN
    assert dialect.spoken(Connection("TEST")) is dialect.TEST


@pytest.mark.parametrize("driver", ["VBOX", "VMware", "ESX", "LXC"])
def test_others(driver: str) -> None:
    """They are refused with the reason, and what to do instead."""
    with pytest.raises(HypervisorMissing, match=f"driver for {driver} neither forwards ports .*virtualbox"):
        dialect.spoken(Connection(driver))


def test_suitability() -> None:
    """The test driver runs nothing; Xen is fast; what is refused does not work."""
    said = {driver: dialect.suitability(Connection(driver)) for driver in ("TEST", "Xen", "LXC", "QEMU")}
    assert {driver: (one.works, one.accelerated) for driver, one in said.items()} == {
        "TEST": (False, False),
        "Xen": (True, True),
        "LXC": (False, False),
        "QEMU": (True, False),
    }
