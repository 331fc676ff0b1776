"""A machine whose hypervisor is another program's: it is driven by calls that block, and looked at now and then.

That program owns the state. The record holds what it does not keep: whether the machine's end was ours, or asked for
with the power button, or an accident. What others do to the machine is noticed by looking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vmcontroller.errors import HypervisorFailed, UnknownVM
from vmcontroller.hypervisors.common import record
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.kept import OFF, ON, KeptMachine
from vmcontroller.hypervisors.common.verb import verb
from vmcontroller.machine import GuestAddress, MachineState, Snapshot

RUNNING, PAUSED, STUCK = MachineState.RUNNING, MachineState.PAUSED, MachineState.STUCK
SAVED, POWERED_OFF, UNKNOWN = MachineState.SAVED, MachineState.POWERED_OFF, MachineState.UNKNOWN


@dataclass(frozen=True)
class Record(record.Record):
    """``button`` says that shutdown was asked for, so the machine's end is no accident."""

    button: bool = False


class Drive(Protocol):
    """The verbs of one machine as its hypervisor does them: each blocks until it is so, and decides nothing."""

    def state(self) -> MachineState | None:
        """Running, Paused, Stuck, Saved, or None when it is off. UnknownVM when the hypervisor does not know it."""

    def start(self) -> None:
        """Run it, from its saved state if there is one."""

    def stop(self) -> None:
        """Cut the power, if there is any."""

    def press(self) -> None:
        """Press the power button."""

    def reset(self) -> None: ...

    def suspend(self) -> None: ...

    def resume(self) -> None: ...

    def save(self) -> None:
        """Put it away; it runs when it is started again, even if it was paused."""

    def discard(self) -> None:
        """Forget the saved state."""

    def take(self, name: str, description: str, now: float) -> None:
        """Take a snapshot; ``now`` is in seconds since the epoch. SnapshotExists."""

    def restore(self, name: str) -> None:
        """It is off then, with a saved state if the snapshot held running programs. UnknownSnapshot."""

    def delete(self, name: str) -> None:
        """UnknownSnapshot."""

    def snapshots(self) -> list[Snapshot]:
        """Oldest first."""

    def register(self) -> None:
        """Make the machine known to the hypervisor, if it is not."""

    def undefine(self) -> None:
        """End it, and make the hypervisor forget all that it keeps of it. Once more does no harm."""


class Reach(Protocol):
    """The two forwards of one machine that runs."""

    async def open(self) -> GuestAddress:
        """Make sure that they are there."""

    async def close(self) -> None:
        """They are not wanted any more."""


class DrivenMachine(KeptMachine[record.Home, Record]):
    """A VM that is driven."""

    def __init__(self, host: Host, home: record.Home, record: Record, drive: Drive, reach: Reach) -> None:
        super().__init__(host, home, record)
        self._do = host.in_thread
        self._drive = drive
        self._reach = reach
        self._address: GuestAddress | None = None

    @property
    def address(self) -> GuestAddress | None:
        """Where the agent is reached, or None while the machine does not run."""
        return self._address if self.record.state is RUNNING else None

    # -- verbs

    @verb(OFF, MachineState.STARTING)
    async def start(self) -> None:
        saved = self.record.state is SAVED
        await self._do(self._drive.start)
        try:
            self._address = await self._reach.open()
            await self.note(state=RUNNING, button=False)
        except BaseException:
            await self._do(self._drive.save if saved else self._drive.stop)
            raise

    @verb((*ON, STUCK, UNKNOWN), MachineState.STOPPING)
    async def powerOff(self) -> None:
        await self._stop()

    @verb((RUNNING,))
    async def shutdown(self) -> None:
        await self.note(button=True)
        try:
            await self._do(self._drive.press)
        except BaseException:
            await self.note(button=False)
            raise

    @verb((RUNNING,), MachineState.STARTING)
    async def reset(self) -> None:
        await self._do(self._drive.reset)
        await self.note(button=False)

    @verb((RUNNING,))
    async def pause(self) -> None:
        await self._do(self._drive.suspend)
        await self.note(state=PAUSED)

    @verb((PAUSED,))
    async def resume(self) -> None:
        await self._do(self._drive.resume)
        self._address = await self._reach.open()
        await self.note(state=RUNNING)

    @verb(ON, MachineState.SAVING)
    async def saveState(self) -> None:
        await self._save()

    @verb((SAVED,), MachineState.DISCARDING)
    async def discardState(self) -> None:
        await self._do(self._drive.discard)
        await self.note(state=POWERED_OFF)

    @verb()
    async def takeSnapshot(self, name: str, description: str) -> None:
        await self._do(self._drive.take, name, description, self._host.wall())

    @verb(OFF, MachineState.RESTORING)
    async def restoreSnapshot(self, name: str) -> None:
        await self._do(self._drive.restore, name)
        await self.note(state=await self._do(self._drive.state) or POWERED_OFF)

    @verb()
    async def deleteSnapshot(self, name: str) -> None:
        await self._do(self._drive.delete, name)

    @verb()
    async def listSnapshots(self) -> list[Snapshot]:
        return await self._do(self._drive.snapshots)

    @verb(meanwhile=MachineState.STOPPING)
    async def remove(self) -> None:
        """Stop it, and remove all that belongs to it."""
        await self._do(self._drive.undefine)
        await self._reach.close()
        await self._discard()

    # -- when the daemon comes and goes, and in between

    @verb()
    async def recover(self) -> None:
        """Take up a machine of an earlier daemon. What its hypervisor has forgotten it is told again."""
        await self._do(self._drive.register)
        await self._look()

    @verb()
    async def look(self) -> None:
        """Notice what happened by itself, or by another's hand."""
        await self._look()

    @verb()
    async def leave(self, stop: bool) -> None:
        """Let it run on by itself, or put it away first."""
        try:
            if stop:
                await self._put_away(self._save, self._stop)
        finally:
            await self._reach.close()

    # -- how they do it

    async def _save(self) -> None:
        await self._do(self._drive.save)
        await self._ended(SAVED)

    async def _stop(self) -> None:
        await self._do(self._drive.stop)
        await self._ended(POWERED_OFF)

    async def _look(self) -> None:
        state = await self._found()
        if state in ON and self._address is None:
            self._address = await self._reached()
        if state is not self.record.state:
            await (self.note(state=state) if state in (*ON, STUCK) else self._ended(state))

    async def _reached(self) -> GuestAddress | None:
        """The address, or None: a machine that is just ending cannot be reached, and the next look tells."""
        try:
            return await self._reach.open()
        except HypervisorFailed as error:
            self.log.warn("{name} cannot be reached yet: {error}", name=self.record.name, error=error)
            return None

    async def _found(self) -> MachineState:
        """The state, by what libvirt says now and the record said before."""
        try:
            state = await self._do(self._drive.state)
        except UnknownVM:
            return UNKNOWN
        before = self.record.state
        if state or before in (POWERED_OFF, MachineState.ABORTED):
            return state or before
        return POWERED_OFF if self.record.button else MachineState.ABORTED

    async def _ended(self, state: MachineState) -> None:
        self._address = None
        await self._reach.close()
        await self.note(state=state, button=False)
