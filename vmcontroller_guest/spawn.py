"""Starts one process, quickly: subprocess uses vfork here, as nothing has to run between fork and exec. Unix only."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vmcontroller.wire.words import Stdin, decode_octets
from vmcontroller_guest.interfaces import NotStarted
from vmcontroller_guest.program import Program, open_input, why_not


@dataclass(frozen=True)
class Child:
    """A process that was started, in a session and a process group of its own, and our ends of its pipes.

    ``stdin`` is None where it has no pipe.
    """

    pid: int
    stdin: int | None
    out: int
    err: int


def spawn(program: Program, stdin: Stdin, served: Path) -> Child:
    """Start it. NotStarted. Whoever calls waits for the process and closes the pipes."""
    try:
        with ExitStack() as on_failure, ExitStack() as always:
            return _spawn(program, stdin, served, on_failure, always)
    except OSError as error:
        raise NotStarted(f"The agent cannot start any program now: {error.strerror}.") from None


def _spawn(program: Program, stdin: Stdin, served: Path, on_failure: ExitStack, always: ExitStack) -> Child:
    theirs, stdin_end = _input(stdin, served, on_failure, always)
    ends = []
    for _ in range(2):
        reading, writing = os.pipe()
        on_failure.callback(os.close, reading)
        always.callback(os.close, writing)
        ends.append((reading, writing))
    pid = _start(program, theirs, ends[0][1], ends[1][1])
    on_failure.pop_all()
    return Child(pid, stdin_end, ends[0][0], ends[1][0])


def _input(stdin: Stdin, served: Path, on_failure: ExitStack, always: ExitStack) -> tuple[int, int | None]:
    """The program's end and ours."""
    if stdin.kind == "none":
        return subprocess.DEVNULL, None
    if stdin.kind == "file":
        theirs = open_input(stdin.name, served)
        always.callback(os.close, theirs)
        return theirs, None
    reading, writing = os.pipe()
    always.callback(os.close, reading)
    on_failure.callback(os.close, writing)
    return reading, writing


def _start(program: Program, stdin: int, out: int, err: int) -> int:
    try:
        process = subprocess.Popen(
            program.arguments,
            executable=program.file,
            cwd=program.directory,
            env=program.environment,
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise why_not(error, program) from None
    process.returncode = 0  # the executor waits for it, by its pid; Popen shall not
    return process.pid


def inline_octets(stdin: Stdin) -> bytes:
    """The input that came with the command. NotStarted when it is not base64."""
    try:
        return decode_octets(stdin.data)
    except ValueError as error:
        raise NotStarted(f"The input of the command {error}.") from None
