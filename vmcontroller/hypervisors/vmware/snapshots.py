"""What our snapshots are called: vmrun takes a name for a path and knows neither times nor descriptions.

They stand in snapshots.json beside the machine; a snapshot exists when vmrun lists it and it stands there. Blocks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vmcontroller.errors import SnapshotExists, UnknownSnapshot
from vmcontroller.hypervisors.common import files
from vmcontroller.machine import Snapshot


@dataclass(frozen=True)
class Label:
    """One snapshot. ``number`` grows with each one, whatever the clock does."""

    number: int
    name: str
    description: str
    taken: float

    @property
    def key(self) -> str:
        """Its name for vmrun."""
        return f"vmcontroller-{self.number}"


@dataclass(frozen=True)
class Labels:
    """The labels in one file."""

    path: Path

    def new(self, name: str, description: str, now: float) -> Label:
        """One for a snapshot to be taken; keep() it when that is done. SnapshotExists."""
        if any(label.name == name for label in self._all()):
            raise SnapshotExists(f"there is a snapshot {name!r} already; choose another name or delete it first")
        number = max((label.number for label in self._all()), default=0) + 1
        return Label(number, name, description, now)

    def keep(self, label: Label) -> None:
        self._write([*self._all(), label])

    def called(self, name: str) -> Label:
        """UnknownSnapshot."""
        for label in self._all():
            if label.name == name:
                return label
        raise UnknownSnapshot(f"there is no snapshot {name!r}; listSnapshots tells which there are")

    def drop(self, label: Label) -> None:
        self._write([other for other in self._all() if other != label])

    def listed(self, keys: Sequence[str]) -> list[Snapshot]:
        """Those that vmrun lists, too; oldest first."""
        return [Snapshot(one.name, one.description, one.taken) for one in self._all() if one.key in keys]

    def _all(self) -> list[Label]:
        try:
            return [Label(**label) for label in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []

    def _write(self, labels: Sequence[Label]) -> None:
        files.write(self.path, json.dumps([asdict(label) for label in labels], indent=1) + "\n")
