"""Several hypervisors that act as one: each verb goes to the one that has the machine.

Which ones they are is decided elsewhere (choice.py); here is only who has what. It knows no plugin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail
from zope.interface import implementer

from vmcontroller.errors import (
    BadImage,
    EmulationRefused,
    NetworkRefused,
    UnknownHypervisor,
    UnknownVM,
    VMControllerError,
    VMExists,
)
from vmcontroller.interfaces import Considered, IComposite, IHypervisor
from vmcontroller.machine import GuestAddress, Machine, MachineSpec, Snapshot

#: What one member refuses so another may take.
_REFUSALS = (BadImage, NetworkRefused, EmulationRefused)


@dataclass(frozen=True)
class Choice:
    """Who is in use: ``members`` as they are offered a new machine, and what they were chosen from.

    ``keep`` is told the names of those that have machines, before that becomes more and after it became less.
    """

    members: Sequence[IHypervisor]
    considered: tuple[Considered, ...] = ()
    keep: Callable[[frozenset[str]], None] = lambda names: None


@implementer(IHypervisor, IComposite)
class SeveralHypervisors:
    """``choose`` is asked in connect() who the members are, none of them connected.

    A new machine is made by the first member that takes its image and grants its wishes, or by the one that its spec
    names.
    """

    def __init__(self, name: str, choose: Callable[[], Awaitable[Choice]]) -> None:
        self.name = name
        self.considered: tuple[Considered, ...] = ()
        self._choose = choose
        self._members: Sequence[IHypervisor] = ()
        self._keep: Callable[[frozenset[str]], None] = lambda names: None
        self._kept: frozenset[str] = frozenset()
        self._places: dict[str, IHypervisor] = {}
        self._in_the_making: list[MachineSpec] = []

    def member(self, vm: str) -> IHypervisor:
        if vm not in self._places:
            raise UnknownVM(f"no VM has the id {vm!r}; listVMs tells which there are")
        return self._places[vm]

    # -- the whole

    def connect(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> None:
        choice = await self._choose()
        connected: list[IHypervisor] = []
        try:
            for member in choice.members:
                await member.connect()
                connected.append(member)
            places = {machine.id: member for member in connected for machine in await member.machines()}
        except BaseException:
            await _all(connected, lambda member: member.disconnect(False))
            raise
        self._members, self._places, self.considered = connected, places, choice.considered
        self._keep = choice.keep
        self._note()

    def _note(self, *more: IHypervisor) -> None:
        names = frozenset(member.name for member in (*self._places.values(), *more))
        if names != self._kept:
            self._keep(names)
            self._kept = names

    def disconnect(self, stop: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._disconnect(stop))

    async def _disconnect(self, stop: bool) -> None:
        members, self._members = self._members, ()
        self._places.clear()
        for done, failure in await _all(members, lambda member: member.disconnect(stop)):
            if not done:
                failure.raiseException()

    def version(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._version())

    async def _version(self) -> str:
        return ", ".join([f"{member.name} {await member.version()}" for member in self._members])

    def machines(self) -> Deferred[list[Machine]]:
        return Deferred.fromCoroutine(self._machines())

    async def _machines(self) -> list[Machine]:
        return [machine for member in self._members for machine in await member.machines()]

    # -- machines come and go

    def createVM(self, spec: MachineSpec) -> Deferred[None]:
        return Deferred.fromCoroutine(self._create(spec))

    async def _create(self, spec: MachineSpec) -> None:
        with self._making(spec):
            for other in await self._machines():
                _demand_distinct(spec, other)
            self._places[spec.id] = await self._make(spec)

    @contextmanager
    def _making(self, spec: MachineSpec) -> Iterator[None]:
        for other in self._in_the_making:
            _demand_distinct(spec, other)
        self._in_the_making.append(spec)
        try:
            yield
        finally:
            self._in_the_making.remove(spec)

    async def _make(self, spec: MachineSpec) -> IHypervisor:
        refusals: list[VMControllerError] = []
        for member in self._asked_for(spec.hypervisor):
            self._note(member)
            try:
                await member.createVM(replace(spec, hypervisor=""))
            except _REFUSALS as refusal:
                refusals.append(refusal)
            else:
                return member
        raise _together(refusals)

    def _asked_for(self, name: str) -> Sequence[IHypervisor]:
        found = [member for member in self._members if name in ("", member.name)]
        if not found:
            there_are = ", ".join(member.name for member in self._members)
            raise UnknownHypervisor(f"no hypervisor in use is called {name!r}; there are: {there_are or 'none'}")
        return found

    def removeVM(self, vm: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(vm))

    async def _remove(self, vm: str) -> None:
        member = self.member(vm)
        await member.removeVM(vm)
        if self._places.get(vm) is member:
            del self._places[vm]
        self._note()

    # -- verbs of one machine

    def start(self, vm: str) -> Deferred[None]:
        return self._tell("start", vm)

    def powerOff(self, vm: str) -> Deferred[None]:
        return self._tell("powerOff", vm)

    def shutdown(self, vm: str) -> Deferred[None]:
        return self._tell("shutdown", vm)

    def reset(self, vm: str) -> Deferred[None]:
        return self._tell("reset", vm)

    def pause(self, vm: str) -> Deferred[None]:
        return self._tell("pause", vm)

    def resume(self, vm: str) -> Deferred[None]:
        return self._tell("resume", vm)

    def saveState(self, vm: str) -> Deferred[None]:
        return self._tell("saveState", vm)

    def discardState(self, vm: str) -> Deferred[None]:
        return self._tell("discardState", vm)

    def takeSnapshot(self, vm: str, name: str, description: str) -> Deferred[None]:
        return self._tell("takeSnapshot", vm, name, description)

    def restoreSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell("restoreSnapshot", vm, name)

    def deleteSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell("deleteSnapshot", vm, name)

    def listSnapshots(self, vm: str) -> Deferred[list[Snapshot]]:
        return self._tell("listSnapshots", vm)

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        return self._tell("guestAddress", vm)

    def _tell(self, verb: str, vm: str, *arguments: Any) -> Deferred[Any]:
        try:
            return getattr(self.member(vm), verb)(vm, *arguments)  # type: ignore[no-any-return]
        except UnknownVM:
            return fail()


def _demand_distinct(spec: MachineSpec, other: MachineSpec | Machine) -> None:
    if spec.id == other.id or spec.name == other.name:
        raise VMExists(f"there is a VM {spec.name!r}, or one with the id {spec.id!r}, already; choose another name")


def _together(refusals: Sequence[VMControllerError]) -> VMControllerError:
    return type(refusals[0])("; ".join(dict.fromkeys(map(str, refusals))))


async def _all(members: Sequence[IHypervisor], verb: Callable[[IHypervisor], Deferred[Any]]) -> list[tuple[bool, Any]]:
    """Say it to each, whatever others answer."""
    return list(await DeferredList([verb(member) for member in members], consumeErrors=True))
