"""One machine: its directory, its agent's processes, and the verbs that move it from state to state.

What stands in the record is what is so: it is written before a freeze and after a start, so that the next daemon
finds after any crash what it has to go on with.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

from twisted.python.failure import Failure

from vmcontroller.errors import UnknownVM
from vmcontroller.hypervisors.common import proc, watch
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.kept import OFF, ON, KeptMachine
from vmcontroller.hypervisors.common.tree import Tree
from vmcontroller.hypervisors.common.verb import verb
from vmcontroller.hypervisors.process import snapshots
from vmcontroller.hypervisors.process.launch import Launcher
from vmcontroller.hypervisors.process.record import Home, Record, Running
from vmcontroller.machine import GuestAddress, MachineState, Snapshot

RUNNING, PAUSED = MachineState.RUNNING, MachineState.PAUSED


class ProcessMachine(KeptMachine[Home, Record]):
    """A VM that is a guest agent with all the processes that it started."""

    def __init__(self, host: Host, launcher: Launcher, home: Home, record: Record) -> None:
        super().__init__(host, home, record)
        self._launcher = launcher
        self._tree = Tree({"VMCONTROLLER_OWNER": record.owner, "VMCONTROLLER_ID": record.id})
        self._unwatch: Callable[[], None] = lambda: None

    @property
    def address(self) -> GuestAddress | None:
        """Where the agent listens, or None while it does not run."""
        running = self.record.running
        if running is None or self.record.state is not RUNNING:
            return None
        return GuestAddress("127.0.0.1", running.door_port, running.chirp_port)

    # -- verbs

    @verb(OFF, MachineState.STARTING)
    async def start(self) -> None:
        await self._boot()

    @verb(ON, MachineState.STOPPING)
    async def powerOff(self) -> None:
        await self._cut_power(MachineState.POWERED_OFF)

    @verb((RUNNING,))
    async def shutdown(self) -> None:
        await self.note(button=True)
        agent = self.record.running and watch.process_of(self.record.running)
        if agent:
            proc.send(agent, signal.SIGTERM)

    @verb((RUNNING,), MachineState.STARTING)
    async def reset(self) -> None:
        await self._cut_power(MachineState.POWERED_OFF)
        await self._boot()

    @verb((RUNNING,))
    async def pause(self) -> None:
        await self._freeze(PAUSED)

    @verb((PAUSED,))
    async def resume(self) -> None:
        await self._thaw()

    @verb(ON, MachineState.SAVING)
    async def saveState(self) -> None:
        await self.note()  # A disk that is full has to be noticed while there is something to save.
        await self._cut_power(MachineState.SAVED)

    @verb((MachineState.SAVED,), MachineState.DISCARDING)
    async def discardState(self) -> None:
        await self.note(state=MachineState.POWERED_OFF)

    @verb()
    async def takeSnapshot(self, name: str, description: str) -> None:
        frozen = self.record.state is RUNNING
        if frozen:
            await self._freeze(RUNNING)
        try:
            await self._host.in_thread(snapshots.take, self.home, name, description, self._host.wall())
        finally:
            if frozen:
                await self._thaw()

    @verb(OFF, MachineState.RESTORING)
    async def restoreSnapshot(self, name: str) -> None:
        await self._host.in_thread(snapshots.restore, self.home, name)
        await self.note(state=MachineState.POWERED_OFF)

    @verb()
    async def deleteSnapshot(self, name: str) -> None:
        await self._host.in_thread(snapshots.delete, self.home, name)

    @verb()
    async def listSnapshots(self) -> list[Snapshot]:
        return await self._host.in_thread(snapshots.listed, self.home)

    @verb()
    async def getStats(self) -> dict[str, float]:
        return await self._host.in_thread(self._tree.usage)

    @verb(meanwhile=MachineState.STOPPING)
    async def remove(self) -> None:
        """Stop it, and remove all that belongs to it."""
        await self._end_programs(MachineState.POWERED_OFF)
        await self._discard()

    # -- when the daemon comes and goes

    @verb()
    async def recover(self) -> None:
        """Take up a machine of an earlier daemon as that left it, or as a crash left it."""
        await self._host.in_thread(snapshots.finish, self.home)
        running = self.record.running
        if running is None:
            await self._host.in_thread(self._tree.kill)
        elif watch.process_of(running):
            await self._take_up(running)
        else:
            await self._cut_power(self._state_after_end())

    @verb()
    async def leave(self, stop: bool) -> None:
        """Let it run on by itself, or put it away first."""
        try:
            if stop and self.record.state in ON:
                await self._cut_power(MachineState.SAVED)
        finally:
            self._unwatch()

    # -- how they do it

    async def _boot(self) -> None:
        try:
            running = await self._launcher.launch(self.home, self._tree.marks)
            await self.note(state=RUNNING, running=running, button=False)
        except Exception:
            await self._host.in_thread(self._tree.kill)
            raise
        self._watch(running)

    async def _take_up(self, running: Running) -> None:
        self._watch(running)
        if self.record.state is PAUSED:
            await self._host.in_thread(self._tree.freeze)
        elif self.record.held is not None:
            await self._thaw()

    async def _cut_power(self, state: MachineState) -> None:
        await self._end_programs(state)
        await self.note()

    async def _end_programs(self, state: MachineState) -> None:
        running = self.record.running
        await self._host.in_thread(self._tree.kill)
        self._unwatch()
        if running:
            await self._host.in_thread(watch.reap, running)
        # So it is now, even if it cannot be written down.
        self.record = replace(self.record, state=state, running=None, held=None, button=False)

    async def _freeze(self, state: MachineState) -> None:
        held = await self._host.in_thread(self._tree.stopped)
        await self.note(state=state, held=tuple(held))
        try:
            await self._host.in_thread(self._tree.freeze)
        except Exception:
            await self._thaw()
            raise

    async def _thaw(self) -> None:
        await self._host.in_thread(self._tree.thaw, self.record.held or ())
        await self.note(state=RUNNING, held=None)

    def _watch(self, running: Running) -> None:
        self._unwatch = watch.watch(self._host.reactor, running, lambda: self._ended(running))

    def _ended(self, running: Running) -> None:
        self._agent_ended(running).addErrback(self._not_cleared)

    @verb()
    async def _agent_ended(self, running: Running) -> None:
        if self.record.running == running:
            await self._cut_power(self._state_after_end())

    def _not_cleared(self, failure: Failure) -> None:
        if not failure.check(UnknownVM):
            self.log.failure("clearing up after the agent of {name}", failure, name=self.record.name)

    def _state_after_end(self) -> MachineState:
        return MachineState.POWERED_OFF if self.record.button else MachineState.ABORTED
