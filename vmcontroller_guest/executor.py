"""Starts commands, knows which processes belong to each, and ends them all. Linux only: it needs /proc.

Orphans become the agent's own children (``adopt_orphans``). Each belongs to the command whose session or process
group it is in, or whose id stands in the environment that it was started with.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping

from twisted.logger import Logger

from vmcontroller.wire.words import CmdRun
from vmcontroller_guest.census import Census, Stat, bears, birth, send, variable
from vmcontroller_guest.exits import childless
from vmcontroller_guest.interfaces import Listener, Remains
from vmcontroller_guest.limits import limit_process
from vmcontroller_guest.program import CMD_ID, Surroundings, prepare
from vmcontroller_guest.running import Reactor, Running
from vmcontroller_guest.spawn import inline_octets, spawn
from vmcontroller_guest.usage import Usage, of_ended, of_living

#: Seconds for which what an earlier agent left is waited for after SIGKILL, and between two looks.
_PATIENCE, _GLANCE = 3.0, 0.01


class LinuxExecutor:
    """``owns_children``: every child of this process is a command's, so that it may wait for all of them."""

    log = Logger()

    def __init__(self, reactor: Reactor, around: Surroundings, owns_children: bool = False) -> None:
        if sys.platform != "linux":
            raise ImportError(f"The guest agent runs commands on Linux only, and this is {sys.platform}.")
        self._reactor = reactor
        self._around = around
        self._owns_children = owns_children
        self._running: dict[str, Running] = {}
        self._orphans: dict[int, str] = {}
        self._all_ended: Callable[[], None] | None = None
        self._marks = [f"{name}={value}".encode() for name, value in around.marks().items()]

    # -- what the agent asks

    def start(self, run: CmdRun, listener: Listener) -> Running:
        """See Executor."""
        octets = inline_octets(run.stdin)
        child = spawn(prepare(run, self._around), run.stdin, self._around.served)
        limit_process(child.pid, run.limits)
        running = self._running[run.cmd_id] = Running(self._reactor, run, listener, child, self)
        if run.stdin.kind == "inline":
            running.feed(octets, True)
        return running

    def resources(self) -> dict[str, Mapping[str, float]]:
        """See Executor."""
        if not self._running:
            self._reap_strays()
            return {}
        census = self._census()
        return {cmd_id: self._live(running, census) for cmd_id, running in self._running.items()}

    def end_all(self, done: Callable[[], None]) -> None:
        """See Executor."""
        if not self._running:
            return done()
        self._all_ended = done
        for running in list(self._running.values()):
            running.stop()

    # -- Family: which processes are whose

    def members(self, running: Running) -> set[int]:
        """See Family."""
        return self._members(running, self._census())

    def survivors(self, running: Running) -> set[int]:
        """See Family."""
        return set() if childless() else self.members(running)

    def over(self, running: Running) -> None:
        """See Family."""
        del self._running[running.cmd_id]
        if self._all_ended is not None and not self._running:
            self._all_ended()

    def _census(self) -> Census:
        """A look at all processes, in which orphans get their owners and ended ones are counted and laid to rest."""
        census = Census()
        leaders = {running.pid for running in self._running.values() if running.status is None}
        for child in census.children(os.getpid()):
            if child.pid not in leaders:
                self._take_in(child)
        return census

    def _take_in(self, orphan: Stat) -> None:
        owner = self._owner(orphan)
        if not orphan.ended:
            self._orphans[orphan.pid] = owner.cmd_id if owner else ""
        elif owner or self._owns_children:
            self._orphans.pop(orphan.pid, None)
            rusage = os.wait4(orphan.pid, 0)[2]
            if owner:
                owner.usage.add(of_ended(rusage))

    def _owner(self, orphan: Stat) -> Running | None:
        for running in self._running.values():
            if running.pid in (orphan.session, orphan.group):
                return running
        # The environment of one that has ended cannot be read any more.
        return self._running.get(self._orphans.get(orphan.pid) or self._marked(orphan.pid))

    def _marked(self, pid: int) -> str:
        return variable(pid, CMD_ID) if bears(pid, self._marks) else ""

    def _members(self, running: Running, census: Census) -> set[int]:
        founder_is_gone = running.status is not None and running.pid in census.all
        roots = set() if founder_is_gone else census.led_by(running.pid)
        roots |= {pid for pid, cmd_id in self._orphans.items() if cmd_id == running.cmd_id}
        return census.with_descendants(roots) - {os.getpid()}

    def _reap_strays(self) -> None:
        """Lay to rest those that were left alone and have ended since."""
        self._orphans.clear()
        while self._owns_children and not childless():
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return

    # -- what they use

    def _live(self, running: Running, census: Census) -> dict[str, float]:
        members = self._members(running, census)
        usage = Usage(running.usage.fields)
        for pid in members:
            usage.add(of_living(census.all[pid]))
        return usage.fields | {"processes": float(len(members))}

    # -- what an earlier agent left

    def end_remains(self, remains: list[Remains]) -> dict[str, int]:
        """See Executor."""
        found: dict[str, set[int]] = {left.cmd_id: set() for left in remains}
        until = time.monotonic() + _PATIENCE
        while living := self._living_remains(remains):
            for cmd_id, pids in living.items():
                found[cmd_id] |= pids
                send(pids, signal.SIGKILL)
            if time.monotonic() > until:
                self.log.error("processes {pids} do not end, not even by SIGKILL", pids=living)
                break
            time.sleep(_GLANCE)
        return {cmd_id: len(pids) for cmd_id, pids in found.items()}

    def _living_remains(self, remains: list[Remains]) -> dict[str, set[int]]:
        census = Census()
        marked: dict[str, list[int]] = {}
        for pid in census.all:
            marked.setdefault(self._marked(pid), []).append(pid)
        living = {}
        for left in remains:
            first = [left.pid] if left.pid in census.all and birth(left.pid) == left.born else []
            living[left.cmd_id] = census.with_descendants([*first, *marked.get(left.cmd_id, [])])
        return {cmd_id: pids for cmd_id, pids in living.items() if pids}
