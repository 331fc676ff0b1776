"""What a wrapper must know of its VM task to go on with it after a restart: ``wrapper_vm.json`` in the slot.

While the file is there, VMs of this job may be there too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wrapper.files import read_text, write_whole

FILENAME = "wrapper_vm.json"


@dataclass(frozen=True)
class Mark:
    """A snapshot of the task's VM: how long the outputs were just before (octets), and the CPU seconds by then."""

    name: str
    sizes: dict[str, int]
    cpu: float


@dataclass(frozen=True)
class Memory:
    """One VM task under way.

    ``attempt`` counts the commands that were begun for it, ``fruitless`` the losses without progress in a row.
    ``base`` is how long each output was when this attempt's command began, ``sizes`` how long it is, for outputs
    that no file shows. ``carried`` is the CPU time before this attempt, ``counted`` that in the job's checkpoint,
    ``best`` the most that an attempt came to. ``labels`` are those of the VMs that were made for the job,
    ``lease`` is the one that they are under. ``put_away`` is whether the VMs were saved because the wrapper had to go.
    """

    task: int = -1
    attempt: int = 0
    fruitless: int = 0
    base: dict[str, int] = field(default_factory=lambda: {"out": 0, "err": 0})
    sizes: dict[str, int] = field(default_factory=lambda: {"out": 0, "err": 0})
    carried: float = 0.0
    counted: float = 0.0
    best: float = 0.0
    marks: tuple[Mark, ...] = ()
    marks_made: int = 0
    labels: tuple[str, ...] = ()
    lease: str = ""
    put_away: bool = False


def read(slot: Path) -> Memory | None:
    """What the slot's file says; None when there is none, or none that can be understood."""
    try:
        said: dict[str, Any] = json.loads(read_text(slot / FILENAME) or "null") or {}
        marks = tuple(Mark(**mark) for mark in said.pop("marks"))
        labels = tuple(said.pop("labels"))
        return Memory(**said, marks=marks, labels=labels)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def write(slot: Path, memory: Memory) -> None:
    """Keep it. OSError."""
    write_whole(slot / FILENAME, json.dumps(asdict(memory)) + "\n")


def forget(slot: Path) -> None:
    """The job has no VM any more."""
    (slot / FILENAME).unlink(missing_ok=True)
