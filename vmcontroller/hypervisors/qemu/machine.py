"""One machine: its record, and the verbs that move it from state to state.

What stands in the record is what is so: it is written before a guest goes on and after it has stopped, so that the
next daemon finds after any crash what it has to go on with.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.python.failure import Failure

from vmcontroller.errors import BadState, DiskFull, HypervisorFailed, UnknownVM, VMControllerError
from vmcontroller.hypervisors.common import files, watch
from vmcontroller.hypervisors.common.kept import OFF, ON, KeptMachine
from vmcontroller.hypervisors.common.relay import LOOPBACK
from vmcontroller.hypervisors.common.tree import Tree
from vmcontroller.hypervisors.common.verb import verb
from vmcontroller.hypervisors.qemu import disk, generations, migration
from vmcontroller.hypervisors.qemu.engine import Engine, platform
from vmcontroller.hypervisors.qemu.generations import MEMORY, Generation
from vmcontroller.hypervisors.qemu.life import Life
from vmcontroller.hypervisors.qemu.qmp import Message
from vmcontroller.hypervisors.qemu.record import Home, Record, Running
from vmcontroller.hypervisors.qemu.snapshots import Snapshots, demand_platform
from vmcontroller.images.store import ImageStore
from vmcontroller.machine import GuestAddress, MachineState, Snapshot

RUNNING, PAUSED, STUCK = MachineState.RUNNING, MachineState.PAUSED, MachineState.STUCK
SAVED, POWERED_OFF = MachineState.SAVED, MachineState.POWERED_OFF
#: Names the machine's directory in its QEMU's environment, so that each process is known to be its.
MARK = "VMCONTROLLER_MACHINE"
#: What QEMU calls the states from which only a power cut leads (RunState, qapi/run-state.json).
_BROKEN = ("internal-error", "guest-panicked", "shutdown")


class QemuMachine(KeptMachine[Home, Record]):
    """A VM that is a QEMU with a directory of disks and states."""

    def __init__(self, engine: Engine, images: ImageStore, home: Home, record: Record) -> None:
        super().__init__(engine.host, home, record)
        self._engine = engine
        self._images = images
        tree = Tree({MARK: str(home.path.resolve())})
        self.life = Life(engine, home, tree, self._hear, self._ended)
        self.snapshots = Snapshots(engine.host, home, self)

    @property
    def address(self) -> GuestAddress | None:
        """Where the guest is reached, or None while it does not run."""
        running = self.record.running
        if running is None or self.record.state is not RUNNING:
            return None
        return GuestAddress(LOOPBACK, running.door_port, running.chirp_port)

    # -- verbs

    @verb(OFF, MachineState.STARTING)
    async def start(self) -> None:
        await self._host.in_thread(self._images.demand_unchanged, self.record.id, Path(self.record.base.path))
        held = self.home.path / self.record.saved if self.record.saved else None
        accelerator = (await self._engine.verdict()).accelerator
        if held:
            demand_platform(await self._host.in_thread(generations.read, held), platform(self.record, accelerator))
        layers = await self._host.in_thread(self.snapshots.layers.chain, self.record.layer)
        running = await self.life.start(self.record, layers, accelerator, held)
        try:
            await self.note(state=RUNNING, running=running, saved="", button=False)
            await self.life.monitor.execute("cont")
        except Exception:
            await self.life.end(self.record, running)
            raise
        self.life.watch(self.record, running)
        # The state's file is large, and whoever has started the machine need not wait until it is gone.
        self._sweep_later().addErrback(self._not_told)

    @verb((*ON, STUCK), MachineState.STOPPING)
    async def powerOff(self) -> None:
        await self._end(POWERED_OFF)

    @verb((RUNNING,))
    async def shutdown(self) -> None:
        await self.note(button=True)
        await self.life.monitor.execute("system_powerdown")

    @verb((RUNNING,), MachineState.STARTING)
    async def reset(self) -> None:
        await self.life.monitor.execute_until("RESET", lambda data: True, "system_reset")

    @verb((RUNNING,))
    async def pause(self) -> None:
        await self.life.monitor.execute("stop")
        await self._noted_or("cont", state=PAUSED)

    @verb((PAUSED,))
    async def resume(self) -> None:
        await self.life.monitor.execute("cont")
        await self._noted_or("stop", state=RUNNING)

    @verb(ON, MachineState.SAVING)
    async def saveState(self) -> None:
        await self._save()

    @verb((SAVED,), MachineState.DISCARDING)
    async def discardState(self) -> None:
        await self.note(state=POWERED_OFF, saved="")
        await self._sweep()

    @verb()
    async def takeSnapshot(self, name: str, description: str) -> None:
        running = self.record.running
        if running is None:
            await self.snapshots.take(name, description)
        else:
            hardware = platform(self.record, running.accelerator)
            runs = self.record.state is RUNNING
            await self.snapshots.take_live(self.life.monitor, name, description, hardware, runs)

    @verb(OFF, MachineState.RESTORING)
    async def restoreSnapshot(self, name: str) -> None:
        accelerator = (await self._engine.verdict()).accelerator
        await self.snapshots.restore(name, platform(self.record, accelerator))

    @verb()
    async def deleteSnapshot(self, name: str) -> None:
        await self.snapshots.delete(name, self.life.monitor if self.record.running else None)

    @verb()
    async def listSnapshots(self) -> list[Snapshot]:
        return await self._host.in_thread(generations.listed, self.home)

    @verb(meanwhile=MachineState.STOPPING)
    async def remove(self) -> None:
        """Stop it, and remove all that belongs to it."""
        await self.life.end(self.record, self.record.running)
        self.record = replace(self.record, state=POWERED_OFF, running=None)
        await self._discard()

    # -- what only some can do

    @verb()
    async def screenshot(self) -> bytes:
        """The screen as PNG."""
        if self.record.running is None:
            raise BadState(f"screenshot: the VM {self.record.name!r} is {self.state}; it has a screen when it runs")
        picture = self.home.path / "screen.png"
        try:
            await self.life.monitor.execute("screendump", filename=picture.name, format="png")
            return await self._host.in_thread(picture.read_bytes)
        finally:
            await self._host.in_thread(picture.unlink, missing_ok=True)

    @verb()
    async def getStats(self) -> dict[str, float]:
        """What it uses: ``cpuSeconds``, ``memoryBytes``, ``diskReadBytes``, ``diskWrittenBytes``; 0 when it is off."""
        used = await self._host.in_thread(self.life.tree.usage)
        read = written = 0
        if self.record.running and self.life.talks:
            for drive in await self.life.monitor.execute("query-blockstats"):
                read += drive["stats"]["rd_bytes"]
                written += drive["stats"]["wr_bytes"]
        return {**used, "diskReadBytes": float(read), "diskWrittenBytes": float(written)}

    @verb()
    async def setCpuCap(self, percent: int) -> None:
        """Hold it to a share of its processors, now and whenever it runs."""
        await self.note(cap=percent)
        if self.record.running:
            self.life.throttle(self.record.running, percent)

    # -- when the daemon comes and goes

    @verb()
    async def recover(self) -> None:
        """Take up a machine of an earlier daemon as that left it, or as a crash left it."""
        await self._sweep()
        running = self.record.running
        if running is None:
            await self.life.end(self.record, None)
        elif watch.process_of(running):
            await self._take_up(running)
        else:
            await self._end(self._state_after_end())
        await self.snapshots.tidy(self.life.monitor if self.life.talks else None)

    @verb()
    async def leave(self, stop: bool) -> None:
        """Let it run on by itself, or put it away first."""
        try:
            if stop and self.record.running:
                await self._put_away(self._save, lambda: self._end(POWERED_OFF))
        finally:
            self.life.let_go()

    # -- how they do it

    async def _noted_or(self, otherwise: str, state: MachineState) -> None:
        try:
            await self.note(state=state)
        except OSError:
            await self.life.monitor.execute(otherwise)
            raise

    async def _save(self) -> None:
        runs, running = self.record.state is RUNNING, self.record.running
        saved = await self._host.in_thread(generations.new_saved, self.home)
        try:
            await self.life.monitor.execute("stop")
            await self._write_state(saved)
            await self.note(state=SAVED, saved=saved.name, running=None, button=False)
        except (VMControllerError, OSError):
            await self._host.in_thread(files.remove, saved)
            if runs and self.life.talks:
                await migration.go_on(self._host, self.life.monitor)
            raise
        await self.life.end(self.record, running)

    async def _write_state(self, saved: Path) -> None:
        assert self.record.running
        sha256, octets = await migration.save(self._host, self.life.monitor, saved / MEMORY, _nothing)
        hardware = platform(self.record, self.record.running.accelerator)
        made = Generation("", "", self._host.wall(), 0, 0, sha256, octets, hardware)
        await self._host.in_thread(generations.write, saved, made)

    async def _take_up(self, running: Running) -> None:
        try:
            await self.life.resume(running)
            await self._agree()
        except HypervisorFailed as error:
            self.log.warn("{vm} runs, but cannot be reached: {error}", vm=self.record.id, error=error)
            await self.note(state=STUCK)
        self.life.watch(self.record, running)

    async def _agree(self) -> None:
        """Bring together what the record says and what QEMU does; the daemon may have died between the two."""
        monitor = self.life.monitor
        layer = await disk.written(monitor)
        chain = await self._host.in_thread(self.snapshots.layers.chain, layer)
        for other in await disk.opened(monitor) - set(chain):
            await disk.close_quietly(monitor, other)
        if layer != self.record.layer:
            await self.note(layer=layer)
        status = (await monitor.execute("query-status"))["status"]
        if self.record.state is RUNNING and status not in ("running", "io-error", *_BROKEN):
            await monitor.execute("cont")
        elif self.record.state is PAUSED and status == "running":
            await monitor.execute("stop")
        elif self.record.state is STUCK and status not in _BROKEN:
            await self.note(state=RUNNING if status == "running" else PAUSED)
        await self._look_at(status)

    async def _end(self, state: MachineState) -> None:
        await self.life.end(self.record, self.record.running)
        await self._find(state=state, running=None, button=False)

    async def _find(self, **changes: Any) -> None:
        """Note what has become of it by itself: so it is now, even if it cannot be written down."""
        self.record = replace(self.record, **changes)
        await self.note()

    @verb()
    async def _sweep_later(self) -> None:
        await self._sweep()

    async def _sweep(self) -> None:
        await self._host.in_thread(generations.sweep, self.home, self.record.saved)

    def _hear(self, event: str, data: Message) -> None:
        if event == "STOP":
            self._look().addErrback(self._not_told)

    @verb()
    async def _look(self) -> None:
        """See whether the guest stands still because we said so."""
        if not self.record.running or not self.life.talks:
            return
        try:
            status = (await self.life.monitor.execute("query-status"))["status"]
        except HypervisorFailed:
            return  # Its end is noticed in another way.
        await self._look_at(status)

    async def _look_at(self, status: str) -> None:
        if status == "io-error" and self.record.state is RUNNING:
            self.log.warn("{vm} was paused: the host's disk is full, or broken", vm=self.record.id)
            await self._find(state=PAUSED)
        elif status in _BROKEN and self.record.state in ON:
            self.log.warn("{vm} cannot go on: QEMU says {status}", vm=self.record.id, status=status)
            await self._find(state=STUCK)
            if self.record.running and self.record.running.accelerator != "tcg":
                await self._engine.distrust(f"a machine met an {status} with it")

    def _ended(self, running: Running) -> None:
        self._process_ended(running).addErrback(self._not_told)

    @verb()
    async def _process_ended(self, running: Running) -> None:
        if self.record.running == running:
            await self._end(self._state_after_end())

    def _not_told(self, failure: Failure) -> None:
        if failure.check(DiskFull):
            self.log.warn("{vm}: {why}", vm=self.record.id, why=failure.getErrorMessage())
        elif not failure.check(UnknownVM):
            self.log.failure("looking after {vm}", failure, vm=self.record.id)

    def _state_after_end(self) -> MachineState:
        return POWERED_OFF if self.record.button else MachineState.ABORTED


async def _nothing() -> None:
    """Saving needs nothing at the switch: the disk is not written on afterwards."""
