"""Run the wrapper and show what it and the program say, as it happens."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .screen import Screen
from .stage import Stage
from .stop import Stop

#: Asked by any other signal, the wrapper would save its VM.
REMOVE = signal.SIGINT
OUTPUT = "stdout.txt"  # the examples' <stdout_filename>; the wrapper writes it while the program runs


class Tail:
    """The whole lines that a growing file has got since they were last asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def lines(self) -> list[str]:
        """What is new; a line without its end waits until it has one."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole + end)
        return whole.decode("utf-8", "replace").splitlines()


class Times:
    """How long each phase took: a phase lasts until the next one begins."""

    def __init__(self, now: float) -> None:
        self._phase = "prepare"
        self._since = now
        self.seconds: dict[str, float] = {}

    def begin(self, phase: str, now: float) -> None:
        """A phase begins, and with it the one before ends; one that comes again goes on."""
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now


def play(
    stage: Stage, stop: Stop, screen: Screen, times: Times, passthrough: Sequence[str], look: Callable[[], None]
) -> int:
    """Run the job in the stage's slot to its end; the wrapper's exit code. ``look`` is called while the job runs."""
    tail = Tail(stage.slot / OUTPUT)
    times.begin("wrapper", screen.seconds())
    with stage.log.open("wb") as log:
        how = {"cwd": stage.slot, "env": stage.environment(), "stdout": subprocess.PIPE, "stderr": log}
        with stop.running(stage.command(passthrough), REMOVE, **how) as wrapper:
            before = ""
            for line in wrapper.stdout or ():
                event = json.loads(line)
                show(event, screen, times, tail)
                if (before, event["phase"]) == ("run", "progress"):
                    look()
                before = event["phase"]
    times.begin("", screen.seconds())
    screen.progress(None)
    return wrapper.returncode


def show(event: dict[str, Any], screen: Screen, times: Times, tail: Tail) -> None:
    """Show one event, and before it what the program has printed meanwhile."""
    for line in tail.lines():
        screen.said(line)
    if event["phase"] == "progress":
        screen.progress(event["fraction"])
    else:
        times.begin(event["phase"], screen.seconds())
        screen.phase(event["phase"], event["text"])
