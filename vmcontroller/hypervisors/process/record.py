"""What is known of one machine, and the directory that it is known in; no process is touched here.

machine.json   this record: the spec without its seed, the state, the owner's mark
seed.json      the machine's identity, for its agent alone
files/         what the agent serves          agent/      what the agent remembers
snapshots/     one directory for each         agent.log   what the agent said since its last start
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vmcontroller.hypervisors.process import files
from vmcontroller.machine import Machine, MachineSpec, MachineState


@dataclass(frozen=True)
class Running:
    """An agent that runs: which process it is, and where it listens on 127.0.0.1."""

    pid: int
    started: int
    boot: str
    door_port: int
    chirp_port: int


@dataclass(frozen=True)
class Record:
    """A machine as it stands in machine.json.

    ``running`` is there in the states Running and Paused. ``held`` is there while the machine is frozen, for a
    moment or Paused: the processes, as (pid, started), that its own programs had stopped before.
    ``button`` says that shutdown was asked for, so the agent's end is no accident.
    """

    owner: str
    id: str
    name: str
    group: str
    image: str
    memory_mb: int
    cpus: int
    network: bool
    state: MachineState = MachineState.POWERED_OFF
    running: Running | None = None
    held: tuple[tuple[int, int], ...] | None = None
    button: bool = False

    @classmethod
    def of(cls, owner: str, spec: MachineSpec) -> Record:
        """The record of a new machine, PoweredOff."""
        return cls(owner, spec.id, spec.name, spec.group, spec.image, spec.memory_mb, spec.cpus, network=spec.network)

    @classmethod
    def parse(cls, text: str) -> Record:
        """The record in machine.json; ValueError, KeyError or TypeError when it is none."""
        said: dict[str, Any] = json.loads(text)
        said["state"] = MachineState(said["state"])
        said["running"] = Running(**said["running"]) if said["running"] else None
        said["held"] = said["held"] and tuple((int(pid), int(started)) for pid, started in said["held"])
        return cls(**said)

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

    @property
    def seed(self) -> Path:
        return self.path / "seed.json"

    @property
    def files(self) -> Path:
        return self.path / "files"

    @property
    def agent(self) -> Path:
        return self.path / "agent"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def log(self) -> Path:
        return self.path / "agent.log"

    @property
    def disks(self) -> tuple[Path, Path]:
        """The two directories that a real machine would have on its disk."""
        return self.files, self.agent

    def furnish(self, record: Record, seed: str) -> None:
        """Make all that a new machine has."""
        for folder in (*self.disks, self.snapshots):
            folder.mkdir(0o700)
        files.write(self.seed, seed)
        self.save(record)

    def save(self, record: Record) -> None:
        """Write the record; afterwards it is on the disk."""
        files.write(self.path / "machine.json", record.text())

    def load(self) -> Record:
        """The record; ValueError, KeyError, TypeError or OSError when there is none."""
        return Record.parse((self.path / "machine.json").read_text(encoding="utf-8"))
