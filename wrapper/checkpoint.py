"""How far the job is: ``wrapper_checkpoint.txt``, so that a restarted wrapper goes on at the right task.

The file and its three fields are the stock wrapper's; the two fields of its forerunners and of 2009 are read too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wrapper.files import read_text, write_whole

FILENAME = "wrapper_checkpoint.txt"
OLD_FILENAME = "checkpoint.txt"


@dataclass(frozen=True)
class Checkpoint:
    """``tasks_done`` tasks are complete; up to here they took ``cpu`` and ``runtime`` seconds."""

    tasks_done: int = 0
    cpu: float = 0.0
    runtime: float = 0.0


def read(slot: Path) -> Checkpoint | None:
    """The slot's checkpoint, or None on the first start. A file with any field missing counts as none."""
    fields = _fields(slot / FILENAME)
    return _checkpoint(fields[:3], 3) or _checkpoint(_fields(slot / OLD_FILENAME), 2)


def write(slot: Path, checkpoint: Checkpoint) -> None:
    """Replace the slot's checkpoint. OSError."""
    write_whole(slot / FILENAME, f"{checkpoint.tasks_done:d} {checkpoint.cpu:f} {checkpoint.runtime:f}\n")


def _fields(path: Path) -> list[str]:
    return (read_text(path) or "").split()


def _checkpoint(fields: list[str], wanted: int) -> Checkpoint | None:
    if len(fields) != wanted:
        return None
    try:
        found = Checkpoint(int(fields[0]), *map(float, fields[1:]))
    except ValueError:
        return None
    return found if found.tasks_done >= 0 else None
