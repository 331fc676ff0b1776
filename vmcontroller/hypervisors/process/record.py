"""What is known of one machine, and the directory that it is known in; no process is touched here.

machine.json   this record: the spec without its seed, the state, the owner's mark
seed.json      the machine's identity, for its agent alone
files/         what the agent serves          agent/      what the agent remembers
snapshots/     one directory for each         agent.log   what the agent said since its last start
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmcontroller.hypervisors.common import files, record


@dataclass(frozen=True)
class Running(record.Running):
    """An agent that runs: which process it is, and where it listens on 127.0.0.1."""

    door_port: int
    chirp_port: int


@dataclass(frozen=True)
class Record(record.Record):
    """A machine as it stands in machine.json.

    ``running`` is there in the states Running and Paused. ``held`` is there while the machine is frozen, for a
    moment or Paused: the processes, as (pid, started), that its own programs had stopped before.
    ``button`` says that shutdown was asked for, so the agent's end is no accident.
    """

    running: Running | None = None
    held: tuple[tuple[int, int], ...] | None = None
    button: bool = False

    @classmethod
    def typed(cls, said: dict[str, Any]) -> dict[str, Any]:
        """The fields as they were before they became JSON."""
        running = Running(**said["running"]) if said["running"] else None
        held = said["held"] and tuple((int(pid), int(started)) for pid, started in said["held"])
        return {**super().typed(said), "running": running, "held": held}


@dataclass(frozen=True)
class Home(record.Home):
    """A machine's directory."""

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

    def load(self) -> Record:
        """The record; ValueError, KeyError, TypeError or OSError when there is none."""
        return Record.parse(self.text())
