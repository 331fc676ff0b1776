"""What all machines of this plugin share: the emulator, its acceleration, the launcher, and the host's memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock

from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.qemu import emulator as emulators
from vmcontroller.hypervisors.qemu import memory
from vmcontroller.hypervisors.qemu.acceleration import Acceleration, Verdict
from vmcontroller.hypervisors.qemu.commandline import CPUS, DEVICES
from vmcontroller.hypervisors.qemu.emulator import Emulator
from vmcontroller.hypervisors.qemu.launch import Launcher
from vmcontroller.hypervisors.qemu.record import Record

_CPUINFO = Path("/proc/cpuinfo")


@dataclass
class Engine:
    """``find`` looks for QEMU. ``residents`` maps the id of each machine that runs, or is about to, to its size in
    MiB and its process id, which is 0 before there is one.
    """

    host: Host
    launcher: Launcher
    acceleration: Acceleration
    find: Callable[[], Emulator] = emulators.find
    residents: dict[str, tuple[int, int]] = field(default_factory=dict)
    _emulator: Emulator | None = None
    _judging: DeferredLock = field(default_factory=DeferredLock)

    async def prepare(self) -> None:
        """Find QEMU. HypervisorMissing."""
        self._emulator = await self.host.in_thread(self.find)

    @property
    def emulator(self) -> Emulator:
        """The QEMU that was found."""
        assert self._emulator, "connect() comes first"
        return self._emulator

    async def verdict(self) -> Verdict:
        """What machines are run with, and why. The first time after a boot of the host this may take ten seconds."""
        return await self._judging.run(self.host.in_thread, self.acceleration.verdict, self.emulator)

    async def distrust(self, why: str) -> None:
        """Emulate from now on."""
        await self._judging.run(self.host.in_thread, self.acceleration.distrust, self.emulator, why)

    def reserve(self, record: Record) -> None:
        """Set memory aside for a machine that starts; MemoryShort."""
        memory.demand(record.memory_mb, [who for vm, who in self.residents.items() if vm != record.id])
        self.residents[record.id] = (record.memory_mb, 0)

    def reside(self, record: Record, pid: int) -> None:
        """Say which process has a machine's memory."""
        self.residents[record.id] = (record.memory_mb, pid)

    def leave(self, record: Record) -> None:
        """Say that a machine has no memory any more."""
        self.residents.pop(record.id, None)


def platform(record: Record, accelerator: str) -> Mapping[str, Any]:
    """All that a saved state has to meet again when it goes on; QEMU itself notices no other processor."""
    hardware = {"board": record.board, "memory_mb": record.memory_mb, "cpus": record.cpus, "devices": DEVICES}
    return {**hardware, "accelerator": accelerator, "processor": _processor(accelerator)}


def _processor(accelerator: str) -> str:
    if accelerator == "tcg":
        return CPUS["tcg"]
    flags = next((line for line in _CPUINFO.read_text(encoding="utf-8").splitlines() if line.startswith("flags")), "")
    return hashlib.sha256(flags.encode()).hexdigest()[:16]
