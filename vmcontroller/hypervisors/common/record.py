"""What is known of one machine, in a form that outlives the daemon: machine.json in the machine's directory.

A plugin adds what it needs as a subclass; no process is touched here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from vmcontroller.hypervisors.common import files
from vmcontroller.machine import Machine, MachineSpec, MachineState


@dataclass(frozen=True)
class Running:
    """A process that is a machine's life: its id, its birth in clock ticks since the host's boot, and which boot."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True)
class Record:
    """A machine as it stands in machine.json: the owner's mark, the spec without its seed, the state."""

    owner: str
    id: str
    name: str
    group: str
    image: str
    memory_mb: int
    cpus: int
    network: bool
    state: MachineState = MachineState.POWERED_OFF

    @classmethod
    def of(cls, owner: str, spec: MachineSpec) -> Self:
        """The record of a new machine, PoweredOff."""
        return cls(owner, spec.id, spec.name, spec.group, spec.image, spec.memory_mb, spec.cpus, network=spec.network)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record in machine.json; ValueError, KeyError or TypeError when it is none."""
        return cls(**cls.typed(json.loads(text)))

    @classmethod
    def typed(cls, said: dict[str, Any]) -> dict[str, Any]:
        """The fields as they were before they became JSON; a subclass does its own."""
        return {**said, "state": MachineState(said["state"])}

    def text(self) -> str:
        """What goes into machine.json."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def machine(self, state: MachineState) -> Machine:
        """The value that the daemon sees."""
        return Machine(self.id, self.name, self.group, state)


@dataclass(frozen=True)
class Home:
    """A machine's directory."""

    path: Path

    def save(self, record: Record) -> None:
        """Write the record; afterwards it is on the disk."""
        files.write(self.path / "machine.json", record.text())

    def text(self) -> str:
        """What stands in machine.json, or OSError."""
        return (self.path / "machine.json").read_text(encoding="utf-8")
