"""Once a second, and whenever something happens: hear the client, move the task along; once a second say how it does.

The loop knows no job and no file. It sleeps until something happens.
"""

from __future__ import annotations

from collections.abc import Callable

from wrapper.bell import Bell
from wrapper.boinc import Runtime, Stop, Wishes
from wrapper.task import Ending, Stopwatch, Task, Work

#: Seconds between two looks at the client's wishes and two reports, as the stock wrapper has it.
POLL_PERIOD = 1.0


class Loop:
    """Attends to one task after the other. ``running`` shows the job's running time in seconds."""

    def __init__(self, runtime: Runtime, bell: Bell, clock: Callable[[], float], running: Stopwatch) -> None:
        self._runtime = runtime
        self._bell = bell
        self._clock = clock
        self._suspended = False
        self.running = running
        #: Why the wrapper must go, once it must.
        self.stopped: Stop | None = None

    def attend(self, task: Task, every_second: Callable[[], None]) -> Ending:
        """Start a task and see it through; ``every_second`` is called all the while, also while it is suspended.

        When the wrapper must go, ``stopped`` is set and the task was stopped, or not even started.
        """
        self._suspended = False
        self._obey(self._runtime.poll(), None)
        if self.stopped:
            return Ending(0, "not started")
        self.running.go()
        task.start()
        try:
            return self._see_through(task, every_second, lambda wishes: self._obey(wishes, task))
        except BaseException:
            task.stop(Stop.ABORT)
            self.finish_off(task, every_second)
            raise
        finally:
            self.running.halt()

    def finish_off(self, work: Work, every_second: Callable[[], None]) -> Ending:
        """See through what must be done though the wrapper was told to go; of the client only hurry is heard."""
        return self._see_through(work, every_second, lambda wishes: _only_hurry(wishes, work))

    def _see_through(self, work: Work, every_second: Callable[[], None], obey: Callable[[Wishes], None]) -> Ending:
        due = self._clock()
        while work.ending is None:
            obey(self._runtime.poll())  # before each step: it may be the bell of one who wants it to go that rang
            now = self._clock()
            if now >= due:
                due = max(due + POLL_PERIOD, now)
                every_second()
            work.step()
            if work.ending is None:
                self._bell.wait(due - self._clock())
        return work.ending

    def _obey(self, wishes: Wishes, task: Task | None) -> None:
        self.stopped = self.stopped or wishes.stop
        if task is None:
            return
        if self.stopped:
            task.stop(self.stopped)
            _only_hurry(wishes, task)
        elif wishes.suspended != self._suspended:
            self._turn(wishes.suspended, task)

    def _turn(self, suspended: bool, task: Task) -> None:
        self._suspended = suspended
        if suspended:
            self.running.halt()
            task.suspend()
        else:
            self.running.go()
            task.resume()


def _only_hurry(wishes: Wishes, work: Work) -> None:
    if wishes.hurry:
        work.hurry()
