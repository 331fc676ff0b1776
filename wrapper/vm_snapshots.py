"""Snapshots of a task's VM: the checkpoints of a job that knows nothing of checkpoints. Two are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass

from job_xml import model
from wrapper.errand import Steps
from wrapper.guest import Guest
from wrapper.job_vms import JobVMs
from wrapper.remote import Code, Refused
from wrapper.task import Place
from wrapper.vm_memory import Mark, Memory

KEPT = 2
#: The most of the time between two snapshots that one may take.
SHARE = 0.05


@dataclass(frozen=True)
class Restored:
    """What the VM went back to. ``programs``: they go on where they were; else only the disk came back."""

    mark: Mark
    programs: bool


class Snapshots:
    """``due`` counts in seconds of the task's running time. The dearer a snapshot is, the rarer they become."""

    def __init__(self, task: model.Task, guest: Guest, vms: JobVMs, place: Place) -> None:
        self._guest = guest
        self._vms = vms
        self._place = place
        self._name = re.sub(r"[/\x00-\x1f\x7f\\]+", "_", task.checkpoint_filename).strip("._ ") or "checkpoint"
        wanted = task.vm.checkpoint_interval if task.vm else 0.0
        self._interval = max(wanted, place.runtime.init_data.checkpoint_period) if wanted else 0.0
        self._last = 0.0
        self._cost = 0.0
        self._taken = False

    @property
    def taken(self) -> bool:
        """Whether one was taken since this was last asked."""
        taken, self._taken = self._taken, False
        return taken

    def due(self, running: float) -> bool:
        """Whether it is time for the next one: the interval is over, and long enough for what the last one took."""
        return self._interval > 0 and max(self._interval, self._cost / SHARE) <= running - self._last

    def take(self, running: float, sizes: dict[str, int], cpu: float) -> Steps[None]:
        """Take one. A hypervisor that cannot is not asked again before the next is due."""
        self._last = running
        memory = self._vms.remember(marks_made=self._memory.marks_made + 1)
        mark = Mark(f"{self._name}-{memory.task}-{memory.marks_made}", sizes, cpu)
        began = self._place.clock()
        try:
            yield from self._guest.call("takeSnapshot", mark.name, f"checkpoint of task {memory.task + 1}")
        except Refused as refusal:
            if refusal.code == Code.NOT_RUNNING:
                raise
            self._place.log(f"no checkpoint was taken: {refusal}")
            return
        finally:
            self._cost = self._place.clock() - began
        self._vms.remember(marks=(*memory.marks, mark)[-KEPT:], counted=cpu, fruitless=0)
        self._taken = True
        for old in memory.marks[: -KEPT + 1]:
            yield from self._delete(old)

    def restore(self) -> Steps[Restored | None]:
        """Bring the VM back to the newest that is whole; None where there is none."""
        for mark in reversed(self._memory.marks):
            yield from self._guest.power_off()
            try:
                yield from self._guest.call("restoreSnapshot", mark.name)
            except Refused as refusal:
                if refusal.code == Code.NOT_RUNNING:
                    raise
                self._place.log(f"the checkpoint {mark.name} is of no use: {refusal}")
                continue
            state = yield from self._guest.call("getState")
            return Restored(mark, state == "Saved")
        return None

    def delete_all(self) -> Steps[None]:
        """The task is done: nobody goes back to them."""
        for mark in self._memory.marks:
            yield from self._delete(mark)
        self._vms.remember(marks=())

    @property
    def _memory(self) -> Memory:
        return self._vms.memory or Memory()

    def _delete(self, mark: Mark) -> Steps[None]:
        try:
            yield from self._guest.call("deleteSnapshot", mark.name)
        except Refused as refusal:
            self._place.log(f"the snapshot {mark.name} could not be deleted: {refusal}")
