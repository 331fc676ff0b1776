"""A task that runs on the host, as the stock wrapper runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from job_xml import model
from job_xml.commandline import Unclosed
from wrapper import invocation, processes
from wrapper.boinc import Stop
from wrapper.invocation import Invocation
from wrapper.processes import Termination
from wrapper.task import CHILD_FAILED, FAILED, Ending, Place, Stopwatch
from wrapper.watching import CheckpointFile, fraction_in

#: Seconds between two looks at the CPU time of the task's processes: each look reads all of the host's.
_CPU_INTERVAL = 10.0


class HostTask:
    """One program and what it starts. A Task (wrapper.task)."""

    def __init__(self, task: model.Task, place: Place) -> None:
        self._task = task
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._termination: Termination | None = None
        self._after: Ending | None = None
        self._running = Stopwatch(place.clock)
        self._checkpoint = CheckpointFile(place.slot, task.checkpoint_filename)
        self._cpu = 0.0
        self._cpu_due = 0.0
        self._others_cpu = 0.0
        self.ending: Ending | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._task.application

    @property
    def pid(self) -> int | None:
        """Its first process, while that is known to be there."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def cpu(self) -> float:
        """Seconds; looked at every tenth second."""
        if self.pid and self._place.clock() >= self._cpu_due:
            self._measure()
        return self._cpu

    @property
    def counted(self) -> float:
        """Nothing: a program on the host begins anew."""
        return 0.0

    def _measure(self) -> None:
        self._cpu_due = self._place.clock() + _CPU_INTERVAL
        if self.pid:
            self._cpu = max(self._cpu, processes.cpu_seconds(self.pid))

    def fraction(self) -> float:
        """What the task's file says."""
        name = self._task.fraction_done_filename
        return fraction_in(self._place.slot / name) if name else 0.0

    def checkpointed(self) -> bool:
        """Whether the task's checkpoint file was written; its CPU time is exact then."""
        changed = self._checkpoint.changed()
        if changed:
            self._measure()
        return changed

    # -- beginning

    def start(self) -> None:
        """Run the program; what keeps it from running is its ending."""
        try:
            command = invocation.on_host(self._task, self._place)
            self._run(command)
        except Unclosed:
            self.ending = Ending(FAILED, f"{self.name}: missing ')' after 'boinc_resolve(' in its command line")
        except FileNotFoundError as error:
            self.ending = self._not_started(error, error.filename)
        except (OSError, ValueError) as error:
            self.ending = self._not_started(error, getattr(error, "filename", None))

    def _not_started(self, error: Exception, filename: object) -> Ending:
        reason = getattr(error, "strerror", None) or str(error)
        about = f" ({filename})" if filename else ""
        return Ending(CHILD_FAILED, f"{self.name} could not be started: {reason}{about}")

    def _run(self, command: Invocation) -> None:
        if self._task.fraction_done_filename:
            (self._place.slot / self._task.fraction_done_filename).unlink(missing_ok=True)
        if not (self._place.slot / command.program).exists():
            self.ending = Ending(FAILED, f"application {command.program} missing")
            return
        self._place.events.say("run", f"wrapper: running {command.program} ({command.command_line})")
        self._others_cpu = _cpu_of_children()
        with contextlib.ExitStack() as files:
            self._process = self._spawn(command, files)
        self._running.go()

    def _spawn(self, command: Invocation, files: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        slot = self._place.slot
        return subprocess.Popen(
            [command.program, *command.arguments],
            executable=_executable(slot, command),
            cwd=os.path.join(slot, command.directory),
            env=command.environment,
            stdin=self._opened(files, self._task.stdin_filename, "rb") or _own_stdin(),
            stdout=self._opened(files, self._task.stdout_filename, "ab") or self._own_stdout(),
            stderr=self._opened(files, self._task.stderr_filename, "ab"),
            **_of_this_system(invocation.nice(self._task.priority, self._place.runtime.init_data)),
        )

    def _opened(self, files: contextlib.ExitStack, name: str, mode: str) -> IO[bytes] | None:
        return files.enter_context(open(self._place.path(name), mode)) if name else None

    def _own_stdout(self) -> int | None:
        """Where output goes that nobody asked for: to the wrapper's own, unless its events are written there."""
        return 2 if self._place.options.events == "-" else None

    # -- running

    def step(self) -> None:
        """Look whether it has ended, or must."""
        if self.ending or self._process is None:
            return
        status = self._process.poll()
        if self._termination:
            if self._termination.step():
                self._process.poll()  # Reaped later, its CPU time would count for the next task.
                self.ending = self._after
        elif status is not None:
            self.ending = self._ended(status)
        elif 0 < self._task.time_limit < self._running.seconds:
            self._place.log(f"task {self.name} reached time limit {self._task.time_limit:.0f}")
            self._end(Ending(0, f"{self.name} reached its time limit of {self._task.time_limit:g} s"))

    def _ended(self, status: int) -> Ending:
        self._running.halt()
        self._cpu = max(self._cpu, _cpu_of_children() - self._others_cpu)
        self._place.log(f"{self.name} exited; CPU time {self._cpu:f}")
        if status == 0:
            return Ending(0, f"{self.name} ended with exit code 0")
        self._place.log(f"app exit status: {abs(status):#x}")
        return Ending(CHILD_FAILED, f"{self.name} {how_it_ended(status)}")

    def suspend(self) -> None:
        """Stop the first process, or with <multi_process/> everything that the wrapper started."""
        self._running.halt()
        self._signal("SIGTSTP" if self._place.options.use_tstp else "SIGSTOP")

    def resume(self) -> None:
        """Let them go on."""
        self._signal("SIGCONT")
        self._running.go()

    def _signal(self, name: str) -> None:
        if self.pid is None or not hasattr(signal, name):
            return
        pids = {self.pid}
        if self._task.multi_process:
            here = os.getpid()
            family = processes.family(processes.running(), [here], groups=False)
            pids |= {process.pid for process in family} - {here}
        processes.send(pids, getattr(signal, name))

    # -- ending

    def stop(self, how: Stop) -> None:
        """The program and all that it started are ended, whatever the reason."""
        if self._termination:
            return
        if self.pid is None:
            self.ending = self.ending or Ending(0, f"{self.name} was not running")
        else:
            self._end(Ending(0, f"{self.name} was stopped"))

    def _end(self, after: Ending) -> None:
        assert self._process
        self._measure()
        self._after = after
        self._termination = Termination([self._process.pid], self._place.clock)

    def hurry(self) -> None:
        """Kill what is left."""
        if self._termination:
            self._termination.hurry()


def how_it_ended(status: int) -> str:
    """A process's exit status, negative for a signal as in subprocess, in words."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was killed by signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"was killed by signal {-status}"


def _executable(slot: Path, command: Invocation) -> str:
    """Relative, as a script's own name shows it; but a relative path means the slot, wherever the program starts."""
    return os.path.join(slot if command.directory else ".", command.program)


def _own_stdin() -> int | None:
    """The wrapper's own, but no terminal: a program in a group of its own would be stopped for reading it."""
    return subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None


def _of_this_system(nice: int | None) -> dict[str, Any]:
    """A group of its own, so that all of it is found at its end, and its priority."""
    if os.name != "posix":
        return {}
    return {"process_group": 0, "preexec_fn": None if nice is None else _renice(nice)}


def _renice(nice: int) -> Callable[[], None]:
    """Runs between fork and exec; the program must not start with a priority that it is not to have."""
    return partial(_set_nice, nice)


def _set_nice(nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _cpu_of_children() -> float:
    """CPU seconds of all children that were waited for."""
    times = os.times()
    return times.children_user + times.children_system
