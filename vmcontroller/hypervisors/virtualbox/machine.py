"""One machine: the verbs that move it from state to state. What state that is, VirtualBox is asked before each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.error import CannotListenError

from vmcontroller.errors import BadRequest, HypervisorFailed
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.kept import OFF, ON, KeptMachine
from vmcontroller.hypervisors.common.verb import verb
from vmcontroller.hypervisors.virtualbox import jobs, snapshots, tunnel
from vmcontroller.hypervisors.virtualbox.com import Com
from vmcontroller.hypervisors.virtualbox.reach import Reach
from vmcontroller.hypervisors.virtualbox.record import Home, Record, state_of
from vmcontroller.machine import GuestAddress, MachineState, Snapshot

R = TypeVar("R")
RUNNING, PAUSED, STUCK = MachineState.RUNNING, MachineState.PAUSED, MachineState.STUCK


class Turn(DeferredLock):
    """One verb at a time; before each the machine is looked at."""

    def __init__(self, look: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self._look = look

    def run(self, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        return super().run(lambda: self._look().addCallback(lambda _: f(*args, **kwargs)))


class VirtualBoxMachine(KeptMachine[Home, Record]):
    """A VM of VirtualBox, known to it by ``record.uuid``."""

    def __init__(self, host: Host, com: Com, home: Home, record: Record, reach: Reach) -> None:
        super().__init__(host, home, record)
        self.lock = Turn(lambda: Deferred.fromCoroutine(self.look()))
        self.address: GuestAddress | None = None
        self._com = com
        self._reach = reach

    async def look(self) -> None:
        """See what VirtualBox says of it."""
        labels = await self._com.ask(jobs.states, [self.record.uuid])
        await self.see(labels[self.record.uuid])

    async def see(self, label: str | None) -> None:
        """Take note of VirtualBox's word for its state, or that it is gone. Who is gone is reached no more."""
        if label is None:
            self.removed = True
        else:
            self.record = replace(self.record, state=state_of(label, self.record.on))
        if (self.removed or self.record.state in OFF) and self.meanwhile is not MachineState.STARTING:
            await self._reach.close()

    async def locate(self) -> GuestAddress | None:
        """Where its guest is reached; None while it does not run."""
        await self.look()
        if self.removed or self.record.state is not RUNNING:
            return None
        await self._take_up()
        await self._guard()
        return await self._reach.address()

    async def _take_up(self) -> None:
        """Hold our end of the tunnel, at the ports of an earlier daemon if need be, and if they can be had."""
        if self._reach.is_open:
            return
        ports = await self._com.ask(tunnel.ports, self.record.uuid)
        if ports is None or self._reach.is_open:  # Somebody else may have asked meanwhile.
            return
        try:
            self._reach.take_up(ports)
        except CannotListenError:
            await self._com.call(tunnel.replug, self.record.uuid, self._reach.lay())

    async def _guard(self) -> None:
        """See that nobody else has VirtualBox's end of the tunnel; where somebody has it, lay another one."""
        try:
            self._reach.guard()
        except HypervisorFailed as error:
            self.log.warn("{vm}: {error}; its card is led elsewhere", vm=self.record.id, error=error)
            await self._reach.close()
            await self._com.call(tunnel.replug, self.record.uuid, self._reach.lay())
            self._reach.guard()

    # -- verbs

    @verb(OFF, MachineState.STARTING)
    async def start(self) -> None:
        await self.note(on=True)
        try:
            await self._do(jobs.start, self._reach.lay())
        except Exception:
            await self._reach.close()
            await self.note(on=False)
            raise

    @verb((*ON, STUCK, MachineState.UNKNOWN), MachineState.STOPPING)
    async def powerOff(self) -> None:
        await self._stop()

    @verb((RUNNING,))
    async def shutdown(self) -> None:
        await self.note(on=False)
        await self._do(jobs.press_button)

    @verb((RUNNING,))
    async def reset(self) -> None:
        await self.note(on=True)
        await self._do_unguarded(jobs.reset)

    @verb((RUNNING,))
    async def pause(self) -> None:
        await self._do(jobs.pause)

    @verb((PAUSED,))
    async def resume(self) -> None:
        await self._do(jobs.resume)

    @verb(ON, MachineState.SAVING)
    async def saveState(self) -> None:
        await self._do(jobs.save)

    @verb((MachineState.SAVED,), MachineState.DISCARDING)
    async def discardState(self) -> None:
        await self.note(on=False)
        await self._do(jobs.discard)

    @verb()
    async def takeSnapshot(self, name: str, description: str) -> None:
        self.meanwhile = self.record.state
        await self._do_unguarded(snapshots.take, name, description)

    @verb(OFF, MachineState.RESTORING)
    async def restoreSnapshot(self, name: str) -> None:
        await self._do(snapshots.restore, name)
        await self.note(on=False)

    @verb()
    async def deleteSnapshot(self, name: str) -> None:
        self.meanwhile = self.record.state
        await self._do_unguarded(snapshots.delete, name)

    @verb()
    async def listSnapshots(self) -> list[Snapshot]:
        return await self._com.ask(snapshots.listed, self.record.uuid)

    @verb(ON)
    async def screenshot(self) -> bytes:
        return await self._com.ask(jobs.screenshot, self.record.uuid)

    @verb()
    async def getStats(self) -> dict[str, float]:
        if self.record.state not in ON:
            return {"cpuSeconds": 0.0, "memoryBytes": 0.0}
        return await self._com.ask(jobs.stats, self.record.uuid)

    @verb((*ON, MachineState.POWERED_OFF, MachineState.ABORTED))
    async def setCpuCap(self, percent: int) -> None:
        if not 1 <= percent <= 100:
            raise BadRequest(f"setCpuCap: {percent} is no share of a processor; give 1 to 100 per cent")
        await self._do(jobs.cap, percent)

    @verb()
    async def macAddress(self) -> str:
        return await self._com.ask(jobs.mac, self.record.uuid)

    @verb(meanwhile=MachineState.STOPPING)
    async def remove(self) -> None:
        """Stop it, and remove all that belongs to it."""
        await self._com.call(jobs.remove, self.record.uuid, self.home.path)
        await self._reach.close()
        await self._host.in_thread(files.discard, self.home.path, self.record.owner)
        self.removed = True

    # -- when the daemon comes and goes

    def recover(self) -> Deferred[None]:
        """Take it up as VirtualBox has it; what a crash left half made is removed."""
        return Deferred.fromCoroutine(self._recover())

    async def _recover(self) -> None:
        if await self._com.call(jobs.adopt, self.record.uuid, self.home.path):
            await self.look()
            if self.record.state in ON:
                await self._take_up()
        else:
            self.removed = True
            await self._host.in_thread(files.discard, self.home.path, self.record.owner)

    @verb()
    async def leave(self, stop: bool) -> None:
        """Let it run on by itself, or put it away first."""
        try:
            if stop:
                await self._put_away(lambda: self._do(jobs.save), self._stop)
        finally:
            await self._reach.close()

    # -- how they do it

    async def _stop(self) -> None:
        await self.note(on=False)
        await self._do(jobs.power_off)

    async def _do(self, job: Callable[..., Any], *args: Any) -> None:
        """Have it done, and see what became of it, also when it failed."""
        try:
            await self._com.call(job, self.record.uuid, *args)
        finally:
            await self.look()

    async def _do_unguarded(self, job: Callable[..., Any], *args: Any) -> None:
        """Have something done in which VirtualBox may open its end of the tunnel anew, as it does for a snapshot."""
        self._reach.unguard()
        try:
            await self._do(job, *args)
        finally:
            await self._guard()
