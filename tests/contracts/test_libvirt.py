"""The libvirt plugin under the contract of all hypervisors, on libvirt's own test driver, which runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.contracts import boot_sector
from tests.contracts.accidents import Accidents
from tests.contracts.capabilities import MacAddress, Metrics, Probe, Screenshot
from tests.contracts.harness import OWNER
from tests.contracts.hypervisor import HypervisorContract
from vmcontroller.hypervisors.libvirt.definition import uuid_of
from vmcontroller.hypervisors.libvirt.hypervisor import LibvirtHypervisor
from vmcontroller.interfaces import IHypervisor

libvirt: Any = pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")

URI = "test:///default"
NETWORK = "<network><name>vmcontroller</name><ip address='10.61.0.1' netmask='255.255.255.0'/></network>"


class TestLibvirt(HypervisorContract, Accidents, Metrics, Screenshot, MacAddress, Probe, TestCase):
    """Domains of the test driver live as long as somebody is connected to it."""

    has_guest = False

    async def setUp(self) -> None:
        libvirt.registerErrorHandler(lambda context, error: None, None)
        self.connection = libvirt.open(URI)
        self.addCleanup(self.connection.close)
        self.addCleanup(self.connection.networkCreateXML(NETWORK).destroy)
        await super().setUp()
        self.image = str(Path(self.root) / "disk.raw")
        boot_sector.write(Path(self.image))

    def make(self, state_dir: Path, owner: str) -> IHypervisor:
        self.folders = [*getattr(self, "folders", []), state_dir / "libvirt", state_dir / "images" / "users"]
        return LibvirtHypervisor(reactor, state_dir, owner, URI)

    def leftovers(self) -> list[str]:
        domains = [domain.name() for domain in self.connection.listAllDomains() if domain.name() != "test"]
        return domains + [str(path) for folder in self.folders for path in folder.rglob("*")]

    async def crash(self, hypervisor: IHypervisor, vm: str) -> None:
        self.connection.lookupByUUIDString(uuid_of(OWNER, vm)).destroy()
