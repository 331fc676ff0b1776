"""The process that speaks with VirtualBox: obeys one request after the other, each of them briefly.

A job is a function whose first argument is the Link. It returns its value, or it is a generator that yields what
has to be waited for: an IProgress, or a function that says whether it is so by now. Then the answer is a token, and
whoever has it asks again. Errors leave this process as sentences, never as objects of pyvbox.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import GeneratorType
from typing import Any

from vmcontroller.errors import HypervisorFailed, VMControllerError
from vmcontroller.hypervisors.virtualbox.link import Link, sentence

#: Seconds that a condition may take to come true; what has an IProgress may take as long as it likes.
_PATIENCE = 30.0

Until = Callable[[], bool]
#: What a job is that has to wait.
Steps = Generator[Any, None, Any]


class Gone(HypervisorFailed):
    """VirtualBox's service, or the process that speaks with it, has ended. The next call starts both anew."""


@dataclass(frozen=True)
class Job:
    """What is to be done: ``work(link, *args, **kwargs)``."""

    work: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """An answer: the job's value, or the token to ask with again."""

    value: Any = None
    token: int | None = None


def serve(connection: Connection) -> None:
    """Answer until the other side hangs up."""
    worker = Worker()
    try:
        while True:
            connection.send(worker.answer(connection.recv()))
    except (EOFError, OSError):
        worker.close()


class Worker:
    """Does jobs. All of them live in the thread that made it."""

    def __init__(self) -> None:
        self._link: Link | None = None
        self._tokens = itertools.count()
        self._under_way: dict[int, tuple[Steps, Until]] = {}

    def answer(self, request: Job | int) -> Step | VMControllerError:
        """A step of a job, or how it failed."""
        try:
            return self._go_on(request) if isinstance(request, int) else self._begin(request)
        except VMControllerError as error:
            return error
        except Exception as error:
            return self._told(error)

    def close(self) -> None:
        """Let go of VirtualBox."""
        if self._link is not None:
            self._link.close()

    def _begin(self, job: Job) -> Step:
        self._link = self._link or Link.open()
        value = job.work(self._link, *job.args, **job.kwargs)
        return self._advance(value, lambda: next(value)) if isinstance(value, GeneratorType) else Step(value)

    def _advance(self, steps: Steps, go: Callable[[], Any]) -> Step:
        try:
            until = _condition(go())
        except StopIteration as end:
            return Step(end.value)
        token = next(self._tokens)
        self._under_way[token] = (steps, until)
        return Step(token=token)

    def _go_on(self, token: int) -> Step:
        steps, until = self._under_way.pop(token)
        try:
            done = until()
        except Exception as error:
            failure = error  # The job may know what to do.
            return self._advance(steps, lambda: steps.throw(failure))
        if not done:
            self._under_way[token] = (steps, until)
            return Step(token=token)
        return self._advance(steps, lambda: next(steps))

    def _told(self, error: Exception) -> VMControllerError:
        if self._link is None:
            return Gone(f"VirtualBox's service does not answer ({error}); see whether VirtualBox's own window opens")
        if not self._link.alive():
            return Gone(f"VirtualBox's service went away ({error}); look at the machine's state, and try again")
        return HypervisorFailed(f"VirtualBox: {sentence(error)}")


def _condition(yielded: Any) -> Until:
    if callable(yielded):
        return _in_time(yielded)
    return lambda: _ended(yielded)


def _in_time(condition: Until) -> Until:
    end = time.monotonic() + _PATIENCE

    def until() -> bool:
        if condition():
            return True
        if time.monotonic() > end:
            raise HypervisorFailed(f"VirtualBox did not get ready within {_PATIENCE:.0f} s; look at its logs")
        return False

    return until


def _ended(progress: Any) -> bool:
    """Whether an IProgress is over; HypervisorFailed with its words when it went wrong."""
    if not progress.completed:
        return False
    if progress.result_code != 0:
        raise HypervisorFailed(f"VirtualBox: {progress.error_info.text.strip()}")
    return True
