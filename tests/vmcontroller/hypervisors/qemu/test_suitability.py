"""What QEMU is worth here, asked without connect() and without a trace."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.folders import folder
from vmcontroller.errors import EmulationRefused, HypervisorMissing
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.qemu import acceleration, create
from vmcontroller.hypervisors.qemu.acceleration import Verdict
from vmcontroller.hypervisors.qemu.emulator import Emulator
from vmcontroller.interfaces import IProbe, Suitability
from vmcontroller.machine import MachineSpec


class TestProbe(TestCase):
    """``found`` is the QEMU that there is, or what is said without one; ``verdict`` what KVM is good for."""

    def setUp(self) -> None:
        self.folder = folder(self)
        self.folder.mkdir()
        self.hypervisor = create(reactor, self.folder, "owner")
        self.found: Emulator | Exception = Emulator("qemu", "9.1.0", "pc-q35-9.1", sandbox=True)
        self.hypervisor._engine.find = self.find

    def find(self) -> Emulator:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def probe(self, verdict: Verdict) -> Suitability:
        self.patch(acceleration, "judge", lambda emulator: verdict)
        answer = await IProbe(self.hypervisor).probe()
        self.assertEqual(list(self.folder.iterdir()), [])
        return answer

    async def test_kvm_and_emulation(self) -> None:
        """Both work and are closed; the reason is the verdict's."""
        for name, accelerated in (("kvm", True), ("tcg", False)):
            answer = await self.probe(Verdict(name, "so it is"))
            self.assertEqual(answer, Suitability(True, accelerated, f"QEMU 9.1.0 with {name}: so it is"))

    async def test_machine_that_must_not_be_emulated(self) -> None:
        """It is refused where KVM is good for nothing, with the reason and the two ways out."""
        self.patch(acceleration, "judge", lambda emulator: Verdict("tcg", "there is no /dev/kvm"))
        making = self.hypervisor.createVM(MachineSpec("vm", "VM 1", "main", emulation=False))
        refusal = await self.assertFailure(making, EmulationRefused)
        self.assertRegex(str(refusal), "VM 1 must not be emulated.*there is no /dev/kvm.*permit emulation")

    async def test_absent(self) -> None:
        """What to install is the reason."""
        self.found = HypervisorMissing("apt install")
        self.assertEqual(await self.probe(Verdict("tcg", "")), Suitability(False, False, "apt install"))

    async def test_no_proc(self) -> None:
        """Elsewhere than on Linux it does not work."""
        self.patch(proc, "available", lambda: False)
        answer = await self.probe(Verdict("tcg", ""))
        self.assertFalse(answer.works)
