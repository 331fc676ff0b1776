"""What is known of a VirtualBox machine beside what VirtualBox knows: machine.json in the machine's directory.

machine.json   this record                   machine.vbox   VirtualBox's settings
disk.vdi       what differs from the image   seed.iso       the guest's identity
snapshots/     memory and disks of each      Logs/          VirtualBox's
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmcontroller.hypervisors.common import record
from vmcontroller.machine import MachineState


@dataclass(frozen=True)
class Record(record.Record):
    """A machine. ``uuid`` is its id in VirtualBox; ``on``: it was started, and nobody has asked for its end since."""

    uuid: str = ""
    on: bool = False


class Home(record.Home):
    """A machine's directory."""

    @property
    def seed(self) -> Path:
        return self.path / "seed.iso"

    def load(self) -> Record:
        """The record; ValueError, KeyError, TypeError or OSError when there is none."""
        return Record.parse(self.text())


#: Our state for each of VirtualBox's that leaves no question; the ends are told apart by ``Record.on``.
_STATES = {
    "Saved": MachineState.SAVED,
    "AbortedSaved": MachineState.SAVED,  # It crashed while it was started; its saved state is still there.
    "Running": MachineState.RUNNING,
    "Paused": MachineState.PAUSED,
    "Stuck": MachineState.STUCK,
    "Teleporting": MachineState.RUNNING,
    "LiveSnapshotting": MachineState.RUNNING,
    "OnlineSnapshotting": MachineState.PAUSED,
    "DeletingSnapshotOnline": MachineState.RUNNING,
    "DeletingSnapshotPaused": MachineState.PAUSED,
    "Starting": MachineState.STARTING,
    "SettingUp": MachineState.STARTING,
    "Stopping": MachineState.STOPPING,
    "Saving": MachineState.SAVING,
    "Restoring": MachineState.RESTORING,
    "RestoringSnapshot": MachineState.RESTORING,
    "TeleportingPausedVM": MachineState.PAUSED,
    "TeleportingIn": MachineState.STARTING,
    "Snapshotting": MachineState.POWERED_OFF,
    "DeletingSnapshot": MachineState.POWERED_OFF,
}
_ENDS = ("PoweredOff", "Aborted", "Teleported")


def state_of(label: str, on: bool) -> MachineState:
    """The state that VirtualBox's label means. One that ended is Aborted unless somebody has asked for it."""
    if label in _ENDS:
        return MachineState.ABORTED if on else MachineState.POWERED_OFF
    return _STATES.get(label, MachineState.UNKNOWN)
