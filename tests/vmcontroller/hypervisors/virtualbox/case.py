"""What tests of the plugin with the fake VirtualBox share."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.vmcontroller.hypervisors.virtualbox.fake_machine import Machine
from tests.vmcontroller.hypervisors.virtualbox.fake_vboxapi import ServingThread, World, installed
from vmcontroller.hypervisors.virtualbox.hypervisor import VirtualBoxHypervisor
from vmcontroller.machine import MachineSpec


def image_in(folder: Path) -> str:
    """A disk that an image store takes."""
    if not shutil.which("qemu-img"):
        raise SkipTest("needs qemu-img; apt install qemu-utils")
    path = folder / "disk.vdi"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", path, "1M"], check=True)
    return str(path)


class WithFake:
    """A mixin of TestCase: a fake VirtualBox of one release, and an image."""

    release = "7.2.22"

    def furnish(self: TestCase) -> None:
        """To be called from setUp."""
        self.folder = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.image = image_in(self.folder)
        self.world = World(self.release)
        fake = installed(self.world)
        fake.__enter__()
        self.addCleanup(fake.__exit__, None, None, None)
        self.addCleanup(lambda: [machine.adapter.unplug() for machine in self.world.machines])

    def make(self, state_dir: Path, owner: str) -> VirtualBoxHypervisor:
        """The plugin, not connected yet, whose worker is a thread."""
        return VirtualBoxHypervisor(reactor, state_dir, owner, ServingThread, 0.001)

    def fake(self, vm: str, owner: str = "owner-one") -> Machine:
        """A machine as VirtualBox has it."""
        return self.world.machine(f"vmcontroller-{owner}-{vm}")

    def spec(self, number: int = 1, **changes: object) -> MachineSpec:
        who = {"id": f"vm-{number}", "name": f"VM {number}", "group": "main"}
        return MachineSpec(**{**who, "image": self.image, "seed": {**who, "secret": "s"}, **changes})
