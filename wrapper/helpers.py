"""Programs beside the tasks: daemons, and the two kinds of helpers of 2009.

``unzip_task`` run first and side by side, ``VMmanage_task`` and ``<daemon/>`` run while tasks do. Nothing waits for
the latter two; they are ended with the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wrapper.boinc import Stop
from wrapper.host_task import HostTask
from wrapper.task import TIMED_OUT, Ending

#: Seconds that unzip tasks may take together: MAX_WAIT_TIME of 2009.
UNZIP_LIMIT = 60.0


class SideBySide:
    """Several programs as one Task (wrapper.task): it ends when all have ended.

    With a ``limit`` in seconds they are ended when it is reached, and the ending says so.
    """

    def __init__(self, tasks: Iterable[HostTask], clock: Callable[[], float], limit: float = 0.0) -> None:
        self.tasks = list(tasks)
        self._clock = clock
        self._limit = limit
        self._deadline = 0.0
        self._late: Ending | None = None

    @property
    def ending(self) -> Ending | None:
        """The first that is bad, else that all is well."""
        endings = [task.ending for task in self.tasks if task.ending]
        if len(endings) < len(self.tasks):
            return None
        return self._late or next((e for e in endings if not e.good), Ending(0, "all helpers have ended"))

    @property
    def cpu(self) -> float:
        """Not counted."""
        return 0.0

    @property
    def counted(self) -> float:
        """Not counted."""
        return 0.0

    def start(self) -> None:
        """Start them all."""
        self._deadline = self._clock() + self._limit
        for task in self.tasks:
            task.start()

    def step(self) -> None:
        """Move each along."""
        if self._limit and not self._late and self._clock() > self._deadline:
            names = ", ".join(task.name for task in self.tasks if not task.ending)
            self._late = Ending(TIMED_OUT, f"{names} took longer than {self._limit:g} s")
            self.stop(Stop.ABORT)
        for task in self.tasks:
            task.step()

    def suspend(self) -> None:
        """Stop them for a while."""
        for task in self.tasks:
            task.suspend()

    def resume(self) -> None:
        """Let them go on."""
        for task in self.tasks:
            task.resume()

    def stop(self, how: Stop) -> None:
        """End them all."""
        for task in self.tasks:
            task.stop(how)

    def hurry(self) -> None:
        """Kill what is left."""
        for task in self.tasks:
            task.hurry()

    def fraction(self) -> float:
        """Nothing of the job."""
        return 0.0

    def checkpointed(self) -> bool:
        """Never."""
        return False
