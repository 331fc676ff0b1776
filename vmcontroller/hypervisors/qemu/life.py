"""A machine's QEMU for as long as it lives: its process, the conversation with it, its end. No record is kept here."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common import proc, watch
from vmcontroller.hypervisors.common.relay import GUEST_PORTS
from vmcontroller.hypervisors.common.tree import Tree
from vmcontroller.hypervisors.qemu import commandline, generations, migration
from vmcontroller.hypervisors.qemu.engine import Engine
from vmcontroller.hypervisors.qemu.launch import Order
from vmcontroller.hypervisors.qemu.qmp import Message, Monitor
from vmcontroller.hypervisors.qemu.record import Home, Record, Running
from vmcontroller.hypervisors.qemu.throttle import Throttle

#: Seconds that QEMU may take to close its files when it is told to end.
PATIENCE = 10.0
_GLANCE = 0.002
#: A line of "info usernet": the protocol, a descriptor, then where it listens and where that leads.
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)")


class Life:
    """``hear(event, data)`` is told of QEMU's events, ``ended(running)`` of its end."""

    def __init__(
        self,
        engine: Engine,
        home: Home,
        tree: Tree,
        hear: Callable[[str, Message], None],
        ended: Callable[[Running], None],
    ) -> None:
        self._engine = engine
        self._home = home
        self.tree = tree
        self._hear = hear
        self._ended = ended
        self._monitor: Monitor | None = None
        self._throttle: Throttle | None = None
        self._child: Running | None = None
        self._unwatch: Callable[[], None] = lambda: None

    @property
    def monitor(self) -> Monitor:
        """The conversation; HypervisorFailed when there is none."""
        if self._monitor is None:
            raise HypervisorFailed("QEMU does not answer; switch the machine off, and start it anew")
        return self._monitor

    @property
    def talks(self) -> bool:
        """Whether there is a conversation."""
        return self._monitor is not None

    # -- its beginning

    async def start(self, record: Record, layers: list[int], accelerator: str, saved: Path | None) -> Running:
        """Start QEMU, with the memory of a saved state if there is one; the guest stands still then.

        MemoryShort, SnapshotDamaged, HypervisorFailed; nothing is left of it then.
        """
        self._engine.reserve(record)
        try:
            if saved is None:
                return await self._start(record, layers, accelerator, None)
            return await self._start_verified(record, layers, accelerator, saved)
        except Exception:
            await self.end(record, None)
            raise

    async def _start_verified(self, record: Record, layers: list[int], accelerator: str, saved: Path) -> Running:
        """Look at the memory while it is read, so that nobody waits for both."""
        verified = self._engine.host.in_thread(generations.verify, saved, generations.read(saved))
        started = Deferred.fromCoroutine(self._start(record, layers, accelerator, saved))
        outcomes: list[tuple[bool, Any]] = await DeferredList([verified, started], consumeErrors=True)
        for succeeded, outcome in outcomes:
            if not succeeded:
                outcome.raiseException()
        return cast(Running, outcomes[-1][1])

    async def _start(self, record: Record, layers: list[int], accelerator: str, saved: Path | None) -> Running:
        waiting = ("-incoming", "defer") if saved else ()
        arguments = (*commandline.arguments(record, layers, accelerator), *waiting)
        order = Order(self._home, accelerator, arguments, self.tree.marks)
        pid, self._monitor = await self._engine.launcher.launch(self._engine.emulator, order, self._hear)
        self._engine.reside(record, pid)
        process = proc.read(pid)
        if process is None:
            raise HypervisorFailed("QEMU ended at once")
        self._child = Running(pid, process.started, proc.boot_id(), accelerator, 0, 0)
        await migration.prepare(self._monitor)
        if saved:
            await migration.load(self._monitor, saved / generations.MEMORY)
        door, chirp = await self._ports()
        return replace(self._child, door_port=door, chirp_port=chirp)

    async def _ports(self) -> tuple[int, int]:
        table = await self.monitor.human("info usernet")
        found = {int(inner): int(outer) for outer, inner in _FORWARD.findall(table)}
        if set(found) != set(GUEST_PORTS):
            raise HypervisorFailed(f"QEMU forwards no ports; it said: {table!r}")
        return found[GUEST_PORTS[0]], found[GUEST_PORTS[1]]

    def watch(self, record: Record, running: Running) -> None:
        """Notice its end, and hold it to its share of the processors."""
        self._engine.reside(record, running.pid)
        self._unwatch = watch.watch(self._engine.host.reactor, running, lambda: self._ended(running))
        self.throttle(running, record.cap)

    def throttle(self, running: Running, percent: int) -> None:
        """Hold it to a share of the processors from now on."""
        self._release()
        process = watch.process_of(running)
        if process and percent < 100:
            self._throttle = Throttle(self._engine.host.reactor, process, percent)

    def _release(self) -> None:
        if self._throttle:
            self._throttle.release()
        self._throttle = None

    async def resume(self, running: Running) -> None:
        """Begin the conversation with a QEMU that an earlier daemon started."""
        process = watch.process_of(running)
        if process:
            proc.send(process, signal.SIGCONT)  # That daemon may have died while it held it still.
        self._monitor = await self._engine.launcher.converse(self._home, self._hear)
        await migration.prepare(self._monitor)
        await migration.cancel(self._engine.host, self._monitor)

    # -- its end

    def let_go(self) -> None:
        """Leave it alone: it runs on."""
        self._unwatch()
        self._release()
        if self._monitor:
            self._monitor.hang_up()
        self._monitor = None

    async def end(self, record: Record, running: Running | None) -> None:
        """End it with its files closed if it still listens; if not, kill it and all that is left of earlier ones."""
        self._release()
        quit_by_itself = running and self._monitor and await self._quit(self._monitor, running)
        self.let_go()
        if not quit_by_itself:
            await self._engine.host.in_thread(self.tree.kill)
        ended = running or self._child
        if ended:
            await self._engine.host.in_thread(watch.reap, ended)
        self._child = None
        self._engine.leave(record)

    async def _quit(self, monitor: Monitor, running: Running) -> bool:
        """Tell it to end; whether it did."""
        quitting = monitor.execute("quit").addTimeout(PATIENCE, self._engine.host.reactor)
        await quitting.addErrback(lambda _: None)
        return await self._engine.host.in_thread(_await_end, running)


def _await_end(running: Running) -> bool:
    """Whether it ended in time."""
    until = time.monotonic() + PATIENCE
    while alive := bool(watch.process_of(running)):
        if time.monotonic() > until:
            break
        time.sleep(_GLANCE)
    return not alive
