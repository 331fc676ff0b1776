"""What is known of one machine, and the directory that it is known in; no process is touched here.

machine.json   this record: the spec without its seed, the state, the owner's mark, the pinned hardware
seed.iso       the machine's identity, a drive of the guest's
disk/          the layers of its disk: 1.qcow2 on the base image, the others on one another
saved-*/       the saved state, if record.saved names it         snapshots/     one directory for each
qmp.sock       where QEMU listens to us alone                    qemu.log       what QEMU said since its last start
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmcontroller.hypervisors.common import record


@dataclass(frozen=True)
class Running(record.Running):
    """A QEMU that runs: which process it is, what accelerates it, and which ports of 127.0.0.1 lead to the guest."""

    accelerator: str
    door_port: int
    chirp_port: int


@dataclass(frozen=True)
class Base:
    """The image that the lowest layer lies on. ``kernel`` and ``initrd`` are "" where it boots by itself."""

    path: str
    format: str
    virtual_bytes: int
    kernel: str = ""
    initrd: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Record(record.Record):
    """A machine as it stands in machine.json.

    ``layer`` is the number of the layer that is written on. ``saved`` names the directory of the saved state, ""
    when there is none. ``running`` is there while QEMU runs. ``button`` says that shutdown was asked for, so
    the end is no accident. ``cap`` is the share of its processors that it may have, in per cent. ``board`` is
    QEMU's machine type with its version: a saved state fits no other.
    """

    board: str = ""
    mac: str = ""
    base: Base = Base("", "", 0)
    layer: int = 1
    saved: str = ""
    running: Running | None = None
    button: bool = False
    cap: int = 100

    @classmethod
    def typed(cls, said: dict[str, Any]) -> dict[str, Any]:
        """The fields as they were before they became JSON."""
        running = Running(**said["running"]) if said["running"] else None
        return {**super().typed(said), "base": Base(**said["base"]), "running": running}


@dataclass(frozen=True)
class Home(record.Home):
    """A machine's directory."""

    @property
    def seed(self) -> Path:
        return self.path / "seed.iso"

    @property
    def disk(self) -> Path:
        return self.path / "disk"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def socket(self) -> Path:
        return self.path / "qmp.sock"

    @property
    def log(self) -> Path:
        return self.path / "qemu.log"

    def load(self) -> Record:
        """The record; ValueError, KeyError, TypeError or OSError when there is none."""
        return Record.parse(self.text())


def mac_address(owner: str, vm: str) -> str:
    """An address for a machine's card that no other machine of this host has: QEMU's prefix and a hash."""
    digits = hashlib.sha256(f"{owner}/{vm}".encode()).hexdigest()[:6].upper()
    return ":".join(("52", "54", "00", digits[:2], digits[2:4], digits[4:]))
