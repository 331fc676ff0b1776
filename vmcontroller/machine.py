"""Machine states and the small values that describe a virtual machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ID_PATTERN = re.compile(r"[0-9a-z-]{1,64}\Z")
#: What XML can hold, and no separator of a path.
NAME_PATTERN = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff\ufffe\uffff]{1,128}\Z")


class MachineState(StrEnum):
    """The twelve states of a VM, spelled as the 2009 API spelled them."""

    POWERED_OFF = "PoweredOff"
    SAVED = "Saved"
    ABORTED = "Aborted"
    RUNNING = "Running"
    PAUSED = "Paused"
    STUCK = "Stuck"
    STARTING = "Starting"
    STOPPING = "Stopping"
    SAVING = "Saving"
    RESTORING = "Restoring"
    DISCARDING = "Discarding"
    UNKNOWN = "Unknown"


#: States in which a VM's programs exist: its guest will answer now, or once it runs again.
LIVE_STATES = frozenset(
    {
        MachineState.RUNNING,
        MachineState.PAUSED,
        MachineState.SAVED,
        MachineState.SAVING,
        MachineState.RESTORING,
        MachineState.STARTING,
    }
)


#: Hears how many octets of long work are done, and how many there are.
Progress = Callable[[int, int], None]


def untold(done: int, total: int) -> None:
    """Progress that nobody hears."""


@dataclass(frozen=True)
class MachineSpec:
    """What a VM is made from. The hypervisor keeps all of it, the seed apart, as the VM's truth.

    ``id`` matches ID_PATTERN and ``name`` NAME_PATTERN. ``image`` is a name in the image store, an
    absolute host path, or "" for the plugin's default. ``seed`` is what the guest finds as its identity
    (docs/reference/seed.md). ``hypervisor`` is the name of the one that shall make it where several stand side by
    side; "" leaves that to them. ``emulation``: it may be made where its processor is emulated, many times slower.
    ``progress`` hears how far the image is read and converted.
    """

    id: str
    name: str
    group: str
    image: str = ""
    memory_mb: int = 512
    cpus: int = 1
    network: bool = False
    seed: Mapping[str, Any] = field(default_factory=dict, repr=False)
    hypervisor: str = ""
    emulation: bool = True
    progress: Progress = field(default=untold, repr=False, compare=False)


@dataclass(frozen=True)
class Machine:
    """A VM as its hypervisor knows it now."""

    id: str
    name: str
    group: str
    state: MachineState


@dataclass(frozen=True)
class GuestAddress:
    """Where on this host a VM's two ports can be reached; both are forwards on loopback."""

    host: str
    door_port: int
    chirp_port: int


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a VM. ``taken`` is in seconds since the epoch."""

    name: str
    description: str
    taken: float
