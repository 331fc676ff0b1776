"""Whether KVM truly runs machines on this host: what /dev/kvm promises is proven by a boot, or not believed.

The verdict holds until the host boots again, or another QEMU is installed; it lies in the state directory.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from vmcontroller.hypervisors.common import files, proc
from vmcontroller.hypervisors.qemu import probe
from vmcontroller.hypervisors.qemu.commandline import CPUS, bare
from vmcontroller.hypervisors.qemu.emulator import Emulator

#: Seconds that the boot may take; where KVM works it takes a third of one.
DEADLINE = 10.0
_DEVICE = Path("/dev/kvm")
_CPUINFO = Path("/proc/cpuinfo")
_MEMORY_MB = "32"


@dataclass(frozen=True)
class Verdict:
    """``accelerator`` is "kvm" or "tcg" (emulation), ``why`` the reason as a sentence's second half."""

    accelerator: str
    why: str


class Acceleration:
    """The verdict for one host. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def verdict(self, emulator: Emulator) -> Verdict:
        """What machines are to be run with."""
        known = self._known(emulator)
        if known is None:
            known = judge(emulator)
            self._note(emulator, known)
        return known

    def look(self, emulator: Emulator) -> Verdict:
        """The same, and nothing is written down."""
        return self._known(emulator) or judge(emulator)

    def distrust(self, emulator: Emulator, why: str) -> None:
        """Say that KVM broke in the middle of a machine's life."""
        self._note(emulator, Verdict("tcg", why))

    def _known(self, emulator: Emulator) -> Verdict | None:
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            return Verdict(**said["verdict"]) if said["of"] == _moment(emulator) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _note(self, emulator: Emulator, verdict: Verdict) -> None:
        files.write(self._path, json.dumps({"of": _moment(emulator), "verdict": asdict(verdict)}))


def _moment(emulator: Emulator) -> list[str]:
    return [proc.boot_id(), emulator.program, emulator.version]


def judge(emulator: Emulator) -> Verdict:
    """Look, and if there is hope, try."""
    if not _DEVICE.exists():
        return Verdict("tcg", f"there is no {_DEVICE}: enable virtualisation in the firmware, and load KVM's module")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Verdict("tcg", f"{_DEVICE} may not be used: add the user to the group kvm")
    if not {"vmx", "svm"} & set(_CPUINFO.read_text(encoding="ascii").split()):
        return Verdict("tcg", f"{_DEVICE} is there, but the processor shows neither VT-x nor AMD-V")
    return prove(emulator)


def prove(emulator: Emulator, deadline: float = DEADLINE) -> Verdict:
    """Boot something small with KVM."""
    with tempfile.NamedTemporaryFile(prefix="vmc-probe-") as disk:
        disk.write(probe.disk())
        disk.flush()
        drive = {"driver": "raw", "node-name": "disk", "file": {"driver": "file", "filename": disk.name}}
        command = (
            *(emulator.program, *bare("kvm", emulator.sandbox), "-M", emulator.board, "-cpu", CPUS["kvm"]),
            *("-m", _MEMORY_MB, "-blockdev", json.dumps(drive), "-device", "virtio-blk-pci,drive=disk"),
            *("-device", probe.DEVICE),
        )
        return _tried(command, deadline)


def _tried(command: tuple[str, ...], deadline: float) -> Verdict:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict("tcg", f"{_DEVICE} is there, but a test machine did not boot with it in {deadline:g} s")
    if done.returncode == probe.REACHED:
        return Verdict("kvm", "a test machine booted with it")
    words = " ".join(done.stderr.split())[-300:] or f"QEMU ended with {done.returncode}"
    return Verdict("tcg", f"{_DEVICE} is there, but a test machine did not boot with it: {words}")
