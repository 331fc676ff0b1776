"""A job from its first task to its last: what is started and ended around them, and how far it all is."""

from __future__ import annotations

import time
from collections.abc import Callable

from job_xml import model
from wrapper import checkpoint as checkpoints
from wrapper.archives import BadArchive, zip_outputs
from wrapper.boinc import Stop
from wrapper.checkpoint import Checkpoint
from wrapper.helpers import UNZIP_LIMIT, SideBySide
from wrapper.host_task import HostTask
from wrapper.job_vms import JobVMs
from wrapper.loop import Loop
from wrapper.task import FAILED, Ending, Place, Task, Work
from wrapper.vm_task import VMTask

GRAPHICS_FILE = "graphics_status.xml"


class JobRun:
    """Runs the tasks that ``checkpoint`` leaves to be done. ``loop.running`` starts at the checkpoint's run time."""

    def __init__(self, job: model.Job, place: Place, loop: Loop, vms: JobVMs, checkpoint: Checkpoint) -> None:
        self._job = job
        self._place = place
        self._loop = loop
        self._vms = vms
        self._checkpoint = checkpoint
        self._beside = SideBySide([], place.clock)
        self._fraction = job.fraction_done(checkpoint.tasks_done)

    @property
    def checkpoint(self) -> Checkpoint:
        """How far it is."""
        return self._checkpoint

    def run(self) -> Ending:
        """From here to the end, and whatever the end is: nothing that was started is left running."""
        try:
            ending = self._work()
        except OSError as error:
            ending = Ending(FAILED, f"the wrapper could not go on: {error}")
        finally:
            self._clean_up()
        return ending if self._loop.stopped or not ending.good else self._pack(ending)

    def _work(self) -> Ending:
        ending = self._begin()
        while ending.good and not self._loop.stopped and self._checkpoint.tasks_done < len(self._job.tasks):
            ending = self._do_task(self._checkpoint.tasks_done)
        return ending

    # -- around the tasks

    def _begin(self) -> Ending:
        left = self._job.tasks[self._checkpoint.tasks_done :]
        if not left:
            return Ending(0, "there was nothing left to do")
        ending = self._unzip()
        if not ending.good or self._loop.stopped:
            return ending
        beside = self._job.vm_manage_tasks if any(task.vm for task in left) else ()
        self._beside = SideBySide([HostTask(t, self._place) for t in (*self._job.daemons, *beside)], self._place.clock)
        self._beside.start()
        return next((t.ending for t in self._beside.tasks if t.ending and t.ending.status == FAILED), ending)

    def _unzip(self) -> Ending:
        tasks = [HostTask(task, self._place) for task in self._job.unzip_tasks]
        together = SideBySide(tasks, self._place.clock, UNZIP_LIMIT)
        return self._loop.attend(together, self._vms.keep)

    def _clean_up(self) -> None:
        """The programs beside the tasks are ended; the VMs are put away for later, or removed."""
        self._beside.stop(Stop.ABORT)
        self._loop.finish_off(self._beside, self._vms.keep)
        errand = self._vms.save() if self._loop.stopped is Stop.QUIT else self._vms.remove()
        self._run_errand(errand)

    def _run_errand(self, errand: Work | None) -> None:
        if errand:
            ending = self._loop.finish_off(errand, self._vms.keep)
            if not ending.good:
                self._place.log(ending.text)

    def _pack(self, ending: Ending) -> Ending:
        if self._job.zip_output:
            try:
                zip_outputs(self._place.slot, self._job.zip_output)
            except BadArchive as error:
                return Ending(FAILED, str(error))
        return ending

    # -- one task

    def _do_task(self, index: int) -> Ending:
        task = self._task(index)
        before = max(self._checkpoint.cpu - task.counted, 0.0)
        ending = self._loop.attend(task, self._every_second(task, before))
        if ending.good and not self._loop.stopped:
            self._fraction = self._job.fraction_done(index + 1)
            self._note(index + 1, before + task.cpu)
            self._report(before + task.cpu)
            self._run_errand(self._vms.remove(self._labels_after(index)))
        return ending

    def _task(self, index: int) -> Task:
        description = self._job.tasks[index]
        if description.vm:
            return VMTask(index, description, description.vm, self._vms, self._place)
        return HostTask(description, self._place)

    def _labels_after(self, index: int) -> frozenset[str]:
        return frozenset(task.vm.label for task in self._job.tasks[index + 1 :] if task.vm)

    def _every_second(self, task: Task, before: float) -> Callable[[], None]:
        def look() -> None:
            self._vms.keep()
            self._fraction = self._job.fraction_done(self._checkpoint.tasks_done, task.fraction())
            self._report(before + task.cpu)
            if task.checkpointed():
                self._note(self._checkpoint.tasks_done, before + task.cpu)

        return look

    def _note(self, tasks_done: int, cpu: float) -> None:
        self._checkpoint = Checkpoint(tasks_done, cpu, self._loop.running.seconds)
        try:
            checkpoints.write(self._place.slot, self._checkpoint)
        except OSError as error:
            self._place.log(f"the checkpoint could not be written: {error}")

    def _report(self, cpu: float) -> None:
        self._place.runtime.report(cpu, self._checkpoint.cpu, self._fraction)
        self._place.events.say(
            "progress",
            f"{self._fraction:.1%} done",
            fraction=round(self._fraction, 6),
            cpu=round(cpu, 3),
            runtime=round(self._loop.running.seconds, 3),
            task=self._checkpoint.tasks_done,
        )
        if self._job.graphics_support:
            self._write_graphics_status(cpu)

    def _write_graphics_status(self, cpu: float) -> None:
        text = (
            f"<graphics_status>\n    <updated_time>{time.time():f}</updated_time>\n    <cpu_time>{cpu:f}</cpu_time>\n"
            f"    <elapsed_time>{self._loop.running.seconds:f}</elapsed_time>\n"
            f"    <fraction_done>{self._fraction:f}</fraction_done>\n</graphics_status>\n"
        )
        try:
            (self._place.slot / GRAPHICS_FILE).write_text(text, encoding="ascii")
        except OSError:
            pass  # The next second brings another.
