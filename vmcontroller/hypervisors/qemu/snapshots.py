"""Takes, restores and deletes snapshots of one machine, and keeps the layers of its disk few.

The order is what makes them safe: a layer is named in the record before the guest can write on it, a manifest is
written when all that it tells of is on the disk, and a file is removed when nothing names it any more.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from twisted.logger import Logger

from vmcontroller.errors import SnapshotDamaged, VMControllerError
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.qemu import disk, generations, migration
from vmcontroller.hypervisors.qemu.generations import MAKING, MEMORY, Generation
from vmcontroller.hypervisors.qemu.layers import Layers
from vmcontroller.hypervisors.qemu.qmp import Message, Monitor
from vmcontroller.hypervisors.qemu.record import Home, Record
from vmcontroller.machine import MachineState

Platform = Mapping[str, Any]


class Noting(Protocol):
    """The machine, as far as snapshots change it."""

    @property
    def record(self) -> Record: ...

    async def note(self, **changes: Any) -> None:
        """Change the record; it is on the disk then."""


class Snapshots:
    """The snapshots of one machine and the layers that they hold."""

    log = Logger()

    def __init__(self, host: Host, home: Home, machine: Noting) -> None:
        self._host = host
        self._home = home
        self._machine = machine
        self.layers = Layers(home.disk)

    # -- taken

    async def take(self, name: str, description: str) -> None:
        """Keep a machine that does not run: its disk, and its saved state if it has one. SnapshotExists."""
        async with self._draft(name) as (draft, place):
            lower = self._machine.record.layer
            made = await self._host.in_thread(self._described, draft, name, description, lower)
            upper = await self._host.in_thread(self.layers.add, self._machine.record.base, lower)
            try:
                await self._machine.note(layer=upper)
                await self._host.in_thread(self._keep, draft, place, made)
            except (VMControllerError, OSError):
                await self._take_back(lower, upper)
                raise

    async def take_live(self, monitor: Monitor, name: str, description: str, platform: Platform, runs: bool) -> None:
        """Keep a machine with its programs; it stands still for a moment if it runs. SnapshotExists."""
        async with self._draft(name) as (draft, place):
            lower = await disk.written(monitor)
            made = await self._host.in_thread(self._described, draft, name, description, lower)
            pause = _Pause(monitor, self._host.reactor.seconds)
            try:
                sha256, octets = await self._stream(monitor, draft / MEMORY, lower)
            finally:
                if runs:
                    await migration.go_on(self._host, monitor)
                seconds = pause.over()
            made = replace(made, sha256=sha256, octets=octets, platform=platform, pause=seconds)
            await self._host.in_thread(self._keep, draft, place, made)

    @asynccontextmanager
    async def _draft(self, name: str) -> AsyncIterator[tuple[Path, Path]]:
        """A directory to be filled, and the place that it will have."""
        place = await self._host.in_thread(generations.new_place, self._home, name)
        draft = Path(await self._host.in_thread(tempfile.mkdtemp, prefix=f".{MAKING}-", dir=self._home.snapshots))
        try:
            yield draft, place
        finally:
            await self._host.in_thread(files.remove, draft)

    def _described(self, draft: Path, name: str, description: str, layer: int) -> Generation:
        """What is known of a snapshot before it is taken; a saved state is in it already."""
        number = generations.next_number(self._home)
        made = Generation(name, description, self._host.wall(), number, layer)
        if not self._machine.record.saved:
            return made
        saved = self._home.path / self._machine.record.saved
        held = generations.read(saved)
        generations.link_memory(saved, draft)
        return replace(made, sha256=held.sha256, octets=held.octets, platform=held.platform)

    async def _stream(self, monitor: Monitor, target: Path, lower: int) -> tuple[str, int]:
        """Write the memory, and freeze the disk at the very moment that the memory is of."""
        frozen = False
        upper = await self._host.in_thread(self.layers.add, self._machine.record.base, lower)

        async def freeze() -> None:
            nonlocal frozen
            await disk.freeze(monitor, lower, upper)
            frozen = True

        try:
            await disk.open_layer(monitor, upper)
            await self._machine.note(layer=upper)
            return await migration.save(self._host, monitor, target, freeze)
        except (VMControllerError, OSError):
            if not frozen:
                await disk.close_quietly(monitor, upper)
                await self._take_back(lower, upper)
            raise

    async def _take_back(self, lower: int, upper: int) -> None:
        """Forget a layer that did not come into use. If even that fails, it is empty and does no harm."""
        try:
            await self._machine.note(layer=lower)
            await self._host.in_thread(self.layers.drop, upper)
        except (VMControllerError, OSError) as error:
            self.log.warn("{path} stays for now: {error}", path=self.layers.path(upper), error=error)

    def _keep(self, draft: Path, place: Path, made: Generation) -> None:
        self.layers.seal(made.layer)
        generations.write(draft, made)
        files.move(draft, place)

    # -- restored

    async def restore(self, name: str, platform: Platform) -> None:
        """Bring back what a snapshot holds, in one step. UnknownSnapshot, SnapshotDamaged."""
        place = await self._host.in_thread(generations.existing, self._home, name)
        found = await self._host.in_thread(self._verified, place, platform)
        upper, saved = 0, ""
        try:
            upper = await self._host.in_thread(self.layers.add, self._machine.record.base, found.layer)
            if found.holds_programs:
                saved = await self._host.in_thread(generations.save_again, self._home, place, found)
            state = MachineState.SAVED if saved else MachineState.POWERED_OFF
            await self._machine.note(layer=upper, saved=saved, state=state, button=False)
        finally:
            await self._host.in_thread(generations.sweep, self._home, self._machine.record.saved)
        await self.tidy(None)

    def _verified(self, place: Path, platform: Platform) -> Generation:
        found = generations.read(place)
        for layer in self.layers.chain(found.layer):
            self.layers.verify(layer)
        generations.verify(place, found)
        if found.holds_programs:
            demand_platform(found, platform)
        return found

    # -- deleted

    async def delete(self, name: str, monitor: Monitor | None) -> None:
        """Remove a snapshot; others stay whole. UnknownSnapshot."""
        place = await self._host.in_thread(generations.existing, self._home, name)
        await self._host.in_thread(files.discard, place, MAKING)
        await self.tidy(monitor)

    async def tidy(self, monitor: Monitor | None) -> None:
        """Remove and merge layers that no snapshot needs. What cannot be done now is done another time."""
        try:
            written = await disk.written(monitor) if monitor else self._machine.record.layer
            await self._host.in_thread(self._drop_unneeded, written)
            while pair := await self._host.in_thread(self._mergeable, written):
                await self._merge(monitor, written, *pair)
        except (VMControllerError, OSError) as error:
            self.log.warn("the disk of {vm} keeps more layers: {error}", vm=self._machine.record.id, error=error)

    def _pinned(self) -> set[int]:
        return generations.pinned(self._home) | {self._machine.record.layer}

    def _drop_unneeded(self, written: int) -> None:
        while unneeded := self.layers.unneeded(self._pinned(), written):
            for layer in unneeded:
                self.layers.drop(layer)

    def _mergeable(self, written: int) -> tuple[int, int] | None:
        return self.layers.mergeable(self._pinned(), written)

    async def _merge(self, monitor: Monitor | None, written: int, lower: int, upper: int) -> None:
        above = await self._host.in_thread(self._unseal, lower, upper)
        if monitor and upper in await self._host.in_thread(self.layers.chain, written):
            await disk.merge(monitor, written, lower, upper)
        else:
            await self._host.in_thread(self.layers.merge, upper)
        await self._host.in_thread(self._replace, upper, lower)
        for layer in above - {written}:
            await self._host.in_thread(self.layers.seal, layer)

    def _unseal(self, lower: int, upper: int) -> set[int]:
        """Say that a layer will change, and those that will come to lie upon it; these."""
        above = set(self.layers.upon(upper))
        for layer in above | {lower}:
            self.layers.unseal(layer)
        return above

    def _replace(self, upper: int, lower: int) -> None:
        """Let all that is upon a layer be upon the one below it, which has its content now."""
        for other in self.layers.upon(upper):
            self.layers.put_upon(other, lower)
        generations.move_pins(self._home, upper, lower)
        self.layers.drop(upper)


def demand_platform(found: Generation, platform: Platform) -> None:
    """SnapshotDamaged unless the programs that are held can go on with this hardware."""
    there = found.platform or {}
    other = [f"{key} {there.get(key)} (it is {value})" for key, value in platform.items() if there.get(key) != value]
    if other:
        raise SnapshotDamaged(f"the saved programs need {', '.join(other)}; only the disk can be used")


class _Pause:
    """Measures for how long a guest stands still."""

    def __init__(self, monitor: Monitor, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._stop = monitor.until("STOP")
        self._stop.addCallbacks(self._begin, lambda _: None)

    def _begin(self, data: Message) -> None:
        self._since = self._seconds()

    def over(self) -> float:
        """How long it was, in seconds; 0.0 if it stood still before."""
        self._stop.cancel()
        return 0.0 if self._since is None else self._seconds() - self._since
