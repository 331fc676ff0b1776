"""The last lines in stderr: one paragraph that says what happened."""

from __future__ import annotations

from wrapper.boinc import Stop
from wrapper.checkpoint import Checkpoint
from wrapper.task import Ending


def paragraph(ending: Ending, stopped: Stop | None, checkpoint: Checkpoint, tasks: int) -> str:
    """``checkpoint`` is how far the job came, ``tasks`` how many it has."""
    used = f"{checkpoint.runtime:.1f} s of running time and {checkpoint.cpu:.1f} s of CPU time"
    current = f"task {min(checkpoint.tasks_done + 1, tasks)} of {tasks}"
    what = ending.text.removesuffix(".")  # A guest's reason is a whole sentence.
    if stopped:
        return f"The wrapper was told to go during {current}. {_WHAT_STAYS[stopped]} Up to the checkpoint: {used}."
    if not ending.good:
        where = f" in {current}" if checkpoint.tasks_done < tasks else ""
        return f"The job failed{where}: {what}. The exit code is {ending.status & 255}."
    return f"The job is done: {_how_many(tasks)} in {used}. The last one: {what}."


_WHAT_STAYS = {
    Stop.QUIT: "What it had started was put away; it goes on from there when it is started again.",
    Stop.ABORT: "What it had started was ended and its VMs were removed; tasks that were done stay done.",
}


def _how_many(tasks: int) -> str:
    return "its one task ended well" if tasks == 1 else f"its {tasks} tasks ended well"
