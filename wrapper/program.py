"""What ``vmwrapper`` does: a BOINC client, or a developer at a terminal, starts it in a job's directory."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from job_xml import parse
from job_xml.lint import lint
from job_xml.model import Job
from job_xml.problems import JobError, Severity
from wrapper import archives, checkpoint, options
from wrapper.bell import Bell, Interrupts
from wrapper.boinc import LOCK_RETRY_DELAY, Runtime, Standalone
from wrapper.checkpoint import Checkpoint
from wrapper.events import Events
from wrapper.job_run import JobRun
from wrapper.job_vms import JobVMs
from wrapper.loop import Loop
from wrapper.messages import Log, printable
from wrapper.options import BadOption, Options
from wrapper.summary import paragraph
from wrapper.task import FAILED, INIT_FAILED, Ending, Place, Stopwatch

JOB_FILE = "job.xml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job in the current directory; the exit code is the job's (docs/reference/wrapper.md)."""
    try:
        chosen = options.parse(sys.argv[1:] if argv is None else argv)
    except BadOption as error:
        print(f"vmwrapper: {error}\n\n{options.USAGE}", file=sys.stderr, end="")
        return INIT_FAILED
    if chosen.help or chosen.version:
        print(options.USAGE if chosen.help else f"vmwrapper {_version()}")
        return 0
    bell = Bell()
    interrupts = Interrupts(bell)
    interrupts.install()
    log = Log()
    slot = Path.cwd()
    with _stream(os.dup(2)) as terminal:
        return Wrapper(chosen, slot, Standalone(slot, interrupts, bell.wait, log), bell, log, terminal).run()


class Wrapper:
    """One run of the program, from job.xml to the exit code. ``terminal`` is the stderr of the start."""

    def __init__(self, chosen: Options, slot: Path, runtime: Runtime, bell: Bell, log: Log, terminal: TextIO) -> None:
        self._options = chosen
        self._slot = slot
        self._runtime = runtime
        self._bell = bell
        self._log = log
        self._terminal = terminal

    def run(self) -> int:
        """Read the job, then do it. What is wrong with job.xml is said on the stderr of the start, in one line."""
        try:
            job = parse.read(self._runtime.resolve(JOB_FILE)).job
        except JobError as error:
            self._log(str(error))
            return error.exit_code
        try:
            taken = self._runtime.take_slot()
        except OSError as error:
            self._log(f"this directory cannot be used: {error}")
            return FAILED
        return self._in_slot(job) if taken else self._slot_taken()

    def _in_slot(self, job: Job) -> int:
        try:
            done = checkpoint.read(self._slot) or self._first_start(job)
            self._runtime.begin()
            self._log("wrapper: starting")
            self._warn()
            if done.tasks_done > len(job.tasks):
                return self._too_far(done, job)
            return self._do(job, done)
        except (OSError, archives.BadArchive) as error:
            return self._fail(f"the wrapper could not begin: {error}")

    def _warn(self) -> None:
        """What the stock wrapper lets pass, and this one with it."""
        for problem in lint(self._runtime.resolve(JOB_FILE)):
            if problem.severity is Severity.ERROR:
                self._log(str(problem))

    def _slot_taken(self) -> int:
        if self._runtime.poll().stop:
            return self._runtime.leave()
        reason = "Waiting to acquire slot directory lock.  Another instance may be running."
        return self._runtime.temporary_exit(LOCK_RETRY_DELAY, reason)

    def _first_start(self, job: Job) -> Checkpoint:
        archives.unzip_inputs(self._slot, job.unzip_input)
        checkpoint.write(self._slot, Checkpoint())
        if job.zip_output:
            archives.note_initial_files(self._slot)
        return Checkpoint()

    def _too_far(self, done: Checkpoint, job: Job) -> int:
        return self._fail(f"Checkpoint file: ntasks_completed too large: {done.tasks_done} > {len(job.tasks)}")

    def _fail(self, text: str) -> int:
        self._log(text)
        self._say_on_terminal(text)
        return self._runtime.finish(FAILED)

    def _do(self, job: Job, done: Checkpoint) -> int:
        with _event_stream(self._options.events) as stream:
            events = Events(self._log, stream, self._terminal if self._talks() else None)
            of_2009 = any(task.vm for task in job.tasks)
            place = Place(self._slot, self._runtime, self._options, time.monotonic, self._log, events, of_2009)
            loop = Loop(self._runtime, self._bell, time.monotonic, Stopwatch(time.monotonic, done.runtime))
            run = JobRun(job, place, loop, JobVMs(place, self._bell), done)
            ending = run.run()
            text = paragraph(ending, loop.stopped, run.checkpoint, len(job.tasks))
            self._say_last(events, text, ending)
        return self._runtime.leave() if loop.stopped else self._runtime.finish(ending.status)

    def _talks(self) -> bool:
        return self._options.verbose or self._terminal.isatty()

    def _say_last(self, events: Events, text: str, ending: Ending) -> None:
        events.say("done", text, status=ending.status)
        if not self._talks() and not ending.good:
            self._say_on_terminal(text)

    def _say_on_terminal(self, text: str) -> None:
        """On the stderr of the start, when ours goes to stderr.txt."""
        if not os.path.sameopenfile(self._terminal.fileno(), 2):
            with suppress(OSError):
                print(printable(text), file=self._terminal, flush=True)


@contextmanager
def _event_stream(name: str) -> Iterator[TextIO | None]:
    if not name:
        yield None
        return
    with _stream(os.dup(1) if name == "-" else os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)) as stream:
        yield stream


@contextmanager
def _stream(descriptor: int) -> Iterator[TextIO]:
    stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
    try:
        yield stream
    finally:
        with suppress(OSError):  # A reader that has gone has also taken what was not written yet.
            stream.close()


def _version() -> str:
    try:
        return importlib.metadata.version("vmcontroller")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout"
