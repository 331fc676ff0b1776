"""A slot with a job in it, run either as a process of its own or in this one, where time passes quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from job_xml import parse
from wrapper import checkpoint, slot
from wrapper.bell import Bell
from wrapper.boinc import Wishes
from wrapper.checkpoint import Checkpoint
from wrapper.events import Events
from wrapper.initdata import InitData
from wrapper.job_run import JobRun
from wrapper.job_vms import JobVMs
from wrapper.loop import Loop
from wrapper.options import Options
from wrapper.task import Ending, Place, Stopwatch

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0
#: How much faster time passes for a job that is run in this process.
HASTE = 20.0


@dataclass
class Result:
    """What a wrapper left when it ran as a process."""

    code: int
    out: str
    err: str
    slot: Path

    @property
    def stderr_txt(self) -> str:
        """Everything in stderr.txt."""
        return (self.slot / "stderr.txt").read_text()


class Slot:
    """A directory as the client would have prepared it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    def job(self, text: str) -> None:
        """Write the job.xml; ``text`` stands inside job_desc."""
        (self.path / "job.xml").write_text(f"<job_desc>{text}</job_desc>")

    def program(self, name: str, text: str) -> Path:
        """Write a shell script."""
        path = self.path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def link(self, name: str, target: str) -> None:
        """Write a soft link as the client does."""
        (self.path / name).write_text(f"<soft_link>{target}</soft_link>\n")

    def read(self, name: str) -> str:
        """What a file says."""
        return (self.path / name).read_text()

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """The wrapper as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "wrapper", *options],
            cwd=self.path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, **environment: str) -> Result:
        """The wrapper as a process, to its end."""
        with self.start(*options, **environment) as process:
            out, err = process.communicate(timeout=DEADLINE)
        return Result(process.returncode, out, err, self.path)


class FakeClient:
    """The runtime of a client whose wishes a test writes down; it keeps what was reported to it."""

    def __init__(self, path: Path) -> None:
        self._slot = path
        self.init_data = InitData()
        self.wishes = Wishes()
        self.reports: list[tuple[float, float, float]] = []
        #: Called at every poll.
        self.hook: Callable[[], None] = lambda: None

    def wish(self, **changes: object) -> None:
        self.wishes = replace(self.wishes, **changes)

    def take_slot(self) -> bool:
        return True

    def begin(self) -> None:
        pass

    def poll(self) -> Wishes:
        self.hook()
        return self.wishes

    def report(self, cpu: float, checkpoint_cpu: float, fraction: float) -> None:
        self.reports.append((cpu, checkpoint_cpu, fraction))

    def finish(self, status: int, message: str = "", notice: bool = False) -> int:
        return status

    def temporary_exit(self, delay: int, reason: str, notice: bool = False) -> int:
        return 0

    def leave(self) -> int:
        return 0

    def resolve(self, name: str) -> str:
        return slot.resolve(self._slot, name)


class QuickBell(Bell):
    """Waits as long as the hurried clock says."""

    def wait(self, seconds: float) -> None:
        super().wait(seconds / HASTE)


def hurried_clock() -> float:
    return time.monotonic() * HASTE


@dataclass
class Rig:
    """A job run in this process."""

    slot: Slot
    options: Options = field(default_factory=Options)
    client: FakeClient = field(init=False)
    lines: list[str] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = FakeClient(self.slot.path)
        self.bell = QuickBell()

    def place(self) -> Place:
        """As the program makes it."""
        events = Events(self.lines.append, _Listener(self.events))
        return Place(self.slot.path, self.client, self.options, hurried_clock, self.lines.append, events)

    def run(self) -> Ending:
        """The job in the slot, from its checkpoint to its end."""
        job = parse.read(self.slot.path / "job.xml").job
        done = checkpoint.read(self.slot.path) or Checkpoint()
        self.loop = Loop(self.client, self.bell, hurried_clock, Stopwatch(hurried_clock, done.runtime))
        place = replace(self.place(), of_2009=any(task.vm for task in job.tasks))
        self.job_run = JobRun(job, place, self.loop, JobVMs(place, self.bell), done)
        return self.job_run.run()

    def phases(self) -> list[object]:
        """The phases that were told, progress left out."""
        return [event["phase"] for event in self.events if event["phase"] != "progress"]


class _Listener:
    def __init__(self, events: list[dict[str, object]]) -> None:
        self._events = events

    def write(self, line: str) -> None:
        self._events.append(json.loads(line))

    def flush(self) -> None:
        pass


def wait_for(condition: Callable[[], object], what: str = "it", seconds: float = DEADLINE) -> None:
    """Look again and again until something holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)


def alive(pids: Sequence[int]) -> list[int]:
    """Which of these processes are there, zombies left out."""
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
