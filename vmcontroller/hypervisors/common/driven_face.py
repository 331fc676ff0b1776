"""The face of a plugin whose machines are driven: disks upon images of the store, a seed each, and a look at times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import DeferredList
from twisted.internet.task import LoopingCall

from vmcontroller.errors import NetworkRefused
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.driven import OFF, DrivenMachine, Record
from vmcontroller.hypervisors.common.face import Face
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.images.store import Base, ImageStore
from vmcontroller.machine import MachineSpec

M = TypeVar("M", bound=DrivenMachine)


class DrivenFace(Face[M]):
    """A plugin says ``formats``, which image formats it takes, and the methods below.

    ``glance`` is in seconds: how often machines are looked at that could end by themselves.
    """

    formats: Sequence[str]

    def __init__(self, host: Host, state_dir: Path, owner: str, glance: float) -> None:
        super().__init__(host, state_dir / self.name, owner)
        self._images = ImageStore(state_dir / "images", host.reactor)
        self._every = glance
        self._troubles: set[str] = set()
        self._glances = LoopingCall(self._glance)
        self._glances.clock = host.reactor

    # -- what a plugin says

    def _open(self) -> None:
        """Make the hypervisor ready; HypervisorMissing. Blocks."""
        raise NotImplementedError

    def _close(self) -> None:
        """Let go of the hypervisor. Blocks."""

    def _furnish(self, draft: Path, place: Path, spec: MachineSpec, record: Record, base: Base) -> None:
        """Put what the machine is made of into ``draft``, which will be ``place``. Blocks."""
        raise NotImplementedError

    def _known(self, home: Home, record: Record) -> M:
        """The machine in a directory."""
        raise NotImplementedError

    # -- what the face asks for

    async def _prepare(self) -> None:
        await self._shared.in_thread(self._open)

    async def _connect(self) -> None:
        await super()._connect()
        self._glances.start(self._every, now=False)

    async def _disconnect(self, stop: bool) -> None:
        if self._glances.running:
            self._glances.stop()
        await super()._disconnect(stop)
        await self._shared.in_thread(self._close)

    def _load(self, path: Path) -> M:
        return self._known(Home(path), Record.parse(Home(path).text()))

    async def _build(self, spec: MachineSpec) -> M:
        if spec.network:
            raise NetworkRefused(
                f"{spec.name} asks for a network; with the hypervisor {self.name!r} the host could be reached over it:"
                " choose another hypervisor, or do without"
            )
        base = await self._images.base(spec.image, self.formats, spec.progress)
        machine = self._known(Home(self._folder / spec.id), Record.of(self._owner, spec))
        try:
            await self._shared.in_thread(self._fill, spec, machine.record, base)
            await self._register(machine)
        except BaseException:
            await self._shared.in_thread(self._images.release, self._user(spec.id))
            raise
        return machine

    def _fill(self, spec: MachineSpec, record: Record, base: Base) -> None:
        with self._draft(spec) as draft:
            self._images.hold(self._user(spec.id), base)
            self._furnish(draft, self._folder / spec.id, spec, record, base)
            Home(draft).save(record)

    async def _register(self, machine: M) -> None:
        try:
            await machine.recover()
        except BaseException:
            await self._shared.in_thread(files.discard, machine.home.path, self._owner)
            raise

    def _user(self, vm: str) -> str:
        """Who holds the image, in the store."""
        return f"{self.name}.{vm}"

    async def _discard(self, machine: M) -> None:
        await super()._discard(machine)
        await self._shared.in_thread(self._images.release, self._user(machine.record.id))

    # -- what happens by itself

    async def _glance(self) -> None:
        """Look at each machine that could have changed; one that is busy is looked at the next time."""
        idle = [machine for machine in self._machines.values() if not machine.lock.locked]
        looks = [machine.look() for machine in idle if machine.record.state not in OFF]
        results: list[tuple[bool, Any]] = await DeferredList(looks, consumeErrors=True)
        self._complain({failure.getErrorMessage() for done, failure in results if not done})

    def _complain(self, troubles: set[str]) -> None:
        """Say it once, however often it happens: a hypervisor that does not answer may be away for long."""
        if troubles - self._troubles:
            self.log.warn("machines cannot be looked at: {why}", why="; ".join(sorted(troubles)))
        self._troubles = troubles
