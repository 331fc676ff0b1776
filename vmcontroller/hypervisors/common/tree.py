"""All processes of one machine: found by the marks in their environment, and frozen, thawed or killed as one.

A machine's agent is started with the marks, and whatever it starts inherits them. So a process belongs to the
machine when it bears them or descends from one that does, also when it left its parent, group and session.
Blocks for up to PATIENCE seconds: call it in a thread.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.proc import Process

PATIENCE = 10.0
_GLANCE = 0.002

Birth = tuple[int, int]


def environment(marks: Mapping[str, str]) -> dict[str, str]:
    """What a machine's first process is started with: the marks, and nothing of the daemon's own settings."""
    # They are none of a machine's business; some are secret.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VMCONTROLLER_")}
    return inherited | dict(marks)


@dataclass(frozen=True)
class Tree:
    """The processes that bear all of ``marks`` (environment variables) and their descendants."""

    marks: Mapping[str, str]

    def members(self) -> list[Process]:
        """Those that live now, parents before children."""
        living = [process for process in proc.every() if not process.ended]
        found = {process.pid: process for process in living if proc.has(process, self.marks)}
        grown = True
        while grown:
            children = [p for p in living if p.parent in found and p.pid not in found]
            found.update((child.pid, child) for child in children)
            grown = bool(children)
        return sorted(found.values(), key=lambda process: (process.started, process.pid))

    def stopped(self) -> frozenset[Birth]:
        """Those that are stopped already, which a thaw has to leave so."""
        return frozenset(process.birth for process in self.members() if process.stopped)

    def freeze(self) -> None:
        """Stop all of them, also those that are being born meanwhile. HypervisorFailed when one does not stop."""
        before: set[Birth] | None = None
        for members in self._watch():
            for process in members:
                if not process.stopped:
                    proc.send(process, signal.SIGSTOP)
            # A child that was born behind a look's back is there in the next look: two must show the same.
            now = {process.birth for process in members}
            quiet = all(proc.still(process) for process in members)
            if quiet and now == before:
                return
            before = now if quiet else None
        raise HypervisorFailed(f"{_names(self.members())} cannot be stopped; is it another user's?")

    def thaw(self, held: Collection[Birth] = ()) -> None:
        """Let them go on, but not those in ``held``. Children first: no parent sees a stopped child."""
        for process in reversed(self.members()):
            if process.birth not in held:
                proc.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """End all of them at once; none sees another one end. HypervisorFailed when one does not end."""
        try:
            self.freeze()
        except HypervisorFailed:
            pass  # What cannot be stopped may still be killed.
        killed: dict[Birth, Process] = {}
        for members in self._watch():
            killed.update((process.birth, process) for process in members)
            # One that is just ending bears no marks any more, and runs still.
            if not any(proc.same(process) for process in killed.values()):
                return
            for process in members:
                proc.send(process, signal.SIGKILL)
        raise HypervisorFailed(f"{_names(self.members())} cannot be ended; is it another user's, or in a broken mount?")

    def usage(self) -> dict[str, float]:
        """What they use: ``cpuSeconds`` (with that of their ended children), ``memoryBytes``, ``processes``."""
        members = self.members()
        return {
            "cpuSeconds": sum(process.cpu_ticks for process in members) / os.sysconf("SC_CLK_TCK"),
            "memoryBytes": float(sum(process.pages for process in members) * os.sysconf("SC_PAGE_SIZE")),
            "processes": float(len(members)),
        }

    def _watch(self) -> Iterator[list[Process]]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            yield self.members()
            time.sleep(_GLANCE)


def _names(members: list[Process]) -> str:
    return "process " + ", ".join(str(process.pid) for process in members)
