"""One machine of VMware, verb by verb, as vmrun does it. Blocks, and decides nothing."""

from __future__ import annotations

from pathlib import Path

from vmcontroller.errors import UnknownVM
from vmcontroller.hypervisors.vmware import vmx
from vmcontroller.hypervisors.vmware.snapshots import Labels
from vmcontroller.hypervisors.vmware.vmrun import Unanswered, Vmrun
from vmcontroller.machine import MachineState, Snapshot

#: Seconds that the guest may take to shut down before vmrun is not waited for any more.
PRESS_PATIENCE = 20.0


class VmrunDrive:
    """The machine in the directory ``home``. vmrun does not tell a paused machine; a file there remembers it."""

    def __init__(self, vmrun: Vmrun, home: Path, press_patience: float = PRESS_PATIENCE) -> None:
        self._vmrun = vmrun
        self._press_patience = press_patience
        self._home = home
        self._vmx = home / vmx.NAME
        self._paused = home / "paused"
        self._labels = Labels(home / "snapshots.json")

    def _tell(self, verb: str, *words: str) -> str:
        return self._vmrun.tell(verb, self._vmx, *words)

    def register(self) -> None:
        """VMware knows a machine by its file."""

    def undefine(self) -> None:
        self.stop()

    def state(self) -> MachineState | None:
        if not self._vmx.exists():
            raise UnknownVM(f"{self._vmx} is gone; remove the VM and create it again")
        if self._vmrun.is_running(self._vmx):
            return MachineState.PAUSED if self._paused.exists() else MachineState.RUNNING
        return MachineState.SAVED if vmx.read(self._vmx).get(vmx.SAVED) else None

    # -- life

    def start(self) -> None:
        self._paused.unlink(missing_ok=True)
        self._tell("start", "nogui")

    def stop(self) -> None:
        if self._vmrun.is_running(self._vmx):
            self._tell("stop", "hard")
        self._paused.unlink(missing_ok=True)

    def press(self) -> None:
        try:
            self._vmrun.tell("stop", self._vmx, "soft", patience=self._press_patience)
        except Unanswered:
            pass  # It waits for the guest, which was told and decides.

    def reset(self) -> None:
        self._tell("reset", "hard")

    def suspend(self) -> None:
        self._tell("pause")
        self._paused.touch()

    def resume(self) -> None:
        self._tell("unpause")
        self._paused.unlink(missing_ok=True)

    def save(self) -> None:
        if self._paused.exists():
            self.resume()
        self._tell("suspend", "hard")

    def discard(self) -> None:
        """vmrun has no verb for it: without the note of its saved state a machine starts from its disk."""
        values = vmx.read(self._vmx)
        memory = self._home / values.pop(vmx.SAVED)
        vmx.write(self._vmx, values)
        if memory.parent == self._home and memory.suffix == ".vmss":
            for path in (memory, memory.with_suffix(".vmem")):
                path.unlink(missing_ok=True)

    # -- snapshots

    def take(self, name: str, description: str, now: float) -> None:
        label = self._labels.new(name, description, now)
        paused = self._paused.exists()
        if paused:
            self.resume()
        try:
            self._tell("snapshot", label.key)
            self._labels.keep(label)
        finally:
            if paused:
                self.suspend()

    def restore(self, name: str) -> None:
        self._tell("revertToSnapshot", self._labels.called(name).key)
        # The documentation does not say whether a machine runs that ran when the snapshot was taken.
        if self._vmrun.is_running(self._vmx):
            self.save()

    def delete(self, name: str) -> None:
        label = self._labels.called(name)
        self._tell("deleteSnapshot", label.key)
        self._labels.drop(label)

    def snapshots(self) -> list[Snapshot]:
        return self._labels.listed(self._tell("listSnapshots").split()) if self._labels.path.exists() else []
