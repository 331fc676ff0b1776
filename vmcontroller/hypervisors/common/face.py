"""The face of a plugin: every call of IHypervisor goes to the machine that it names.

Machines lie in one directory, each in one of its own that is named after its id. Only those whose record bears the
owner's mark are listed or touched. What a machine is made of and how it obeys is the plugin's own business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from vmcontroller.errors import BadName, EmulationRefused, UnknownVM, VMExists
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.record import Record
from vmcontroller.hypervisors.common.verb import Subject
from vmcontroller.interfaces import IProbe, Suitability
from vmcontroller.machine import ID_PATTERN, NAME_PATTERN, GuestAddress, Machine, MachineSpec, MachineState, Snapshot

R = TypeVar("R")


class Obedient(Subject, Protocol):
    """A machine as the face needs it: each verb of IHypervisor without its first argument."""

    @property
    def state(self) -> MachineState: ...

    @property
    def address(self) -> GuestAddress | None: ...

    def start(self) -> Deferred[None]: ...

    def powerOff(self) -> Deferred[None]: ...

    def shutdown(self) -> Deferred[None]: ...

    def reset(self) -> Deferred[None]: ...

    def pause(self) -> Deferred[None]: ...

    def resume(self) -> Deferred[None]: ...

    def saveState(self) -> Deferred[None]: ...

    def discardState(self) -> Deferred[None]: ...

    def takeSnapshot(self, name: str, description: str) -> Deferred[None]: ...

    def restoreSnapshot(self, name: str) -> Deferred[None]: ...

    def deleteSnapshot(self, name: str) -> Deferred[None]: ...

    def listSnapshots(self) -> Deferred[list[Snapshot]]: ...

    def remove(self) -> Deferred[None]:
        """Stop it, and remove all that belongs to it; ``removed`` is true when that is so."""

    def recover(self) -> Deferred[None]:
        """Take it up as an earlier daemon, or a crash, left it."""

    def leave(self, stop: bool) -> Deferred[None]:
        """Let go of it; put it away first if ``stop``."""


M = TypeVar("M", bound=Obedient)


class Face(Generic[M]):
    """IHypervisor over a registry of machines. A plugin says ``name``, ``version`` and the three methods below."""

    name: str
    log = Logger()

    def __init__(self, host: Host, folder: Path, owner: str) -> None:
        self._shared = host
        self._folder = folder
        self._owner = owner
        self._machines: dict[str, M] = {}
        self._in_the_making: list[MachineSpec] = []
        self._burials = DeferredLock()

    # -- what a plugin says

    async def _prepare(self) -> None:
        """Make the hypervisor ready, or raise HypervisorMissing. Comes first in connect()."""

    def _load(self, path: Path) -> M:
        """The machine in a directory of ours; ValueError, KeyError, TypeError or OSError when there is none. Blocks."""
        raise NotImplementedError

    async def _build(self, spec: MachineSpec) -> M:
        """Make a machine whose id and name are free, wholly or not at all."""
        raise NotImplementedError

    async def _suitability(self) -> Suitability:
        """How well machines run here, asked while the hypervisor is connected."""
        return await IProbe(self).probe()

    # -- the whole

    def connect(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> None:
        await self._prepare()
        machines = await self._shared.in_thread(self._found)
        self._machines = {machine.record.id: machine for machine in machines}
        await self._tell_all(machines, lambda machine: machine.recover())

    def _found(self) -> list[M]:
        try:
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            files.sweep(self._folder, self._owner)
            return [found for path in sorted(self._folder.iterdir()) if (found := self._ours(path))]
        except OSError as error:
            raise files.explain(error) from error

    def _ours(self, path: Path) -> M | None:
        try:
            machine = self._load(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.log.warn("{path} is left alone, its machine.json cannot be read: {error}", path=path, error=error)
            return None
        return machine if (machine.record.owner, machine.record.id) == (self._owner, path.name) else None

    def disconnect(self, stop: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._disconnect(stop))

    async def _disconnect(self, stop: bool) -> None:
        machines = list(self._machines.values())
        self._machines.clear()
        await self._tell_all(machines, lambda machine: machine.leave(stop))

    def machines(self) -> Deferred[list[Machine]]:
        there = [machine for machine in list(self._machines.values()) if not self._is_gone(machine)]
        return succeed([machine.record.machine(machine.state) for machine in there])

    # -- machines come and go

    def createVM(self, spec: MachineSpec) -> Deferred[None]:
        return Deferred.fromCoroutine(self._create(spec))

    async def _create(self, spec: MachineSpec) -> None:
        await self._burials.run(lambda: None)  # One that was just found to be gone may have had this id.
        with self._making(spec):
            if not spec.emulation:
                self._demand_acceleration(spec, await self._suitability())
            self._machines[spec.id] = await self._build(spec)

    def _demand_acceleration(self, spec: MachineSpec, here: Suitability) -> None:
        if not here.accelerated:
            raise EmulationRefused(
                f"{spec.name} must not be emulated, and the hypervisor {self.name!r} can do no better here"
                f" ({here.reason}); switch virtualisation on, or permit emulation"
            )

    @contextmanager
    def _making(self, spec: MachineSpec) -> Iterator[None]:
        if not ID_PATTERN.match(spec.id) or not NAME_PATTERN.match(spec.name):
            raise BadName(f"{spec.id!r} or {spec.name!r} cannot be a VM's id and name; see docs/reference/plugins.md")
        known: list[Record | MachineSpec] = [machine.record for machine in self._machines.values()]
        if any(spec.id == other.id or spec.name == other.name for other in known + self._in_the_making):
            raise VMExists(f"there is a VM {spec.name!r}, or one with the id {spec.id!r}, already; choose another name")
        self._in_the_making.append(spec)
        try:
            yield
        finally:
            self._in_the_making.remove(spec)

    @contextmanager
    def _draft(self, spec: MachineSpec) -> Iterator[Path]:
        """A directory to be filled; it becomes the machine's when nothing fails, and sentences tell what does."""
        place = self._folder / spec.id
        try:
            with files.draft(self._folder, self._owner) as draft:
                yield draft
                files.move(draft, place)
        except FileExistsError as error:
            raise VMExists(f"{place} exists and is not ours; choose another id") from error
        except OSError as error:
            raise files.explain(error) from error

    def removeVM(self, vm: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(vm))

    async def _remove(self, vm: str) -> None:
        machine = self._machines.get(vm) or self._machine(vm)  # One that is gone can be removed once more.
        try:
            await self._discard(machine)
        finally:
            if machine.removed and self._machines.get(vm) is machine:
                del self._machines[vm]

    async def _discard(self, machine: M) -> None:
        """Remove a machine and all that belongs to it."""
        await machine.remove()

    def _is_gone(self, machine: M) -> bool:
        """Whether somebody has removed its directory behind our back; what else there is of it goes then, too."""
        vm = machine.record.id
        if machine.lock.locked or (self._folder / vm).exists() or not self._folder.exists():
            return False
        self.log.warn("{vm} is gone, removed behind our back", vm=vm)
        del self._machines[vm]
        burial = self._burials.run(lambda: Deferred.fromCoroutine(self._discard(machine)))
        burial.addErrback(self._not_buried)
        return True

    def _not_buried(self, failure: Failure) -> None:
        self.log.failure("something is left of a VM that is gone", failure)

    # -- verbs of one machine

    def start(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.start())

    def powerOff(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.powerOff())

    def shutdown(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.shutdown())

    def reset(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.reset())

    def pause(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.pause())

    def resume(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.resume())

    def saveState(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.saveState())

    def discardState(self, vm: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.discardState())

    def takeSnapshot(self, vm: str, name: str, description: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.takeSnapshot(name, description))

    def restoreSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.restoreSnapshot(name))

    def deleteSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell(vm, lambda machine: machine.deleteSnapshot(name))

    def listSnapshots(self, vm: str) -> Deferred[list[Snapshot]]:
        return self._tell(vm, lambda machine: machine.listSnapshots())

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        return self._tell(vm, lambda machine: succeed(machine.address))

    def _machine(self, vm: str) -> M:
        if vm not in self._machines or self._is_gone(self._machines[vm]):
            raise UnknownVM(f"no VM has the id {vm!r}; listVMs tells which there are")
        return self._machines[vm]

    def _tell(self, vm: str, verb: Callable[[M], Deferred[R]]) -> Deferred[R]:
        try:
            return verb(self._machine(vm))
        except UnknownVM:
            return fail()

    async def _tell_all(self, machines: Sequence[M], verb: Callable[[M], Deferred[Any]]) -> None:
        """Say it to each; what one cannot do is logged and does not keep the others from it."""
        results = await DeferredList([verb(machine) for machine in machines], consumeErrors=True)
        for machine, (_, failure) in zip(machines, results, strict=True):
            if failure is not None and not failure.check(UnknownVM):
                self.log.failure("the VM {name}", failure, name=machine.record.name)
