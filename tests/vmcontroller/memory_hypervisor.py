"""A hypervisor whose machines are entries in a dict: what a plugin's verbs do to states, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from vmcontroller.errors import BadState, SnapshotExists, UnknownSnapshot, UnknownVM
from vmcontroller.interfaces import IHypervisor, IMetrics
from vmcontroller.machine import GuestAddress, Machine, MachineSpec, MachineState, Snapshot

OFF = {MachineState.POWERED_OFF, MachineState.SAVED, MachineState.ABORTED}
RUNNING, PAUSED, SAVED = MachineState.RUNNING, MachineState.PAUSED, MachineState.SAVED
POWERED_OFF = MachineState.POWERED_OFF


@implementer(IHypervisor, IMetrics)
class MemoryHypervisor:
    """``trouble`` maps the name of a verb to what it shall fail with; ``log`` holds the verbs that were called."""

    name = "memory"

    def __init__(self) -> None:
        self.vms: dict[str, Machine] = {}
        self.specs: dict[str, MachineSpec] = {}
        self.kept: dict[str, list[Snapshot]] = {}
        self.trouble: dict[str, Exception] = {}
        self.log: list[tuple[Any, ...]] = []

    def _do(self, verb: str, deed: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.log.append((verb, *arguments))
        try:
            if verb in self.trouble:
                raise self.trouble[verb]
            return succeed(deed(*arguments))
        except Exception as error:
            return fail(error)

    def _machine(self, vm: str) -> Machine:
        if vm not in self.vms:
            raise UnknownVM(vm)
        return self.vms[vm]

    def _move(self, verb: str, vm: str, before: set[MachineState], after: MachineState) -> Deferred[None]:
        def move(vm: str) -> None:
            machine = self._machine(vm)
            if machine.state not in before:
                raise BadState(f"{vm} is {machine.state}")
            self.vms[vm] = replace(machine, state=after)

        return self._do(verb, move, vm)

    def connect(self) -> Deferred[None]:
        return self._do("connect", lambda: None)

    def disconnect(self, stop: bool) -> Deferred[None]:
        return self._do("disconnect", lambda stop: None, stop)

    def version(self) -> Deferred[str]:
        return succeed("1")

    def machines(self) -> Deferred[list[Machine]]:
        return succeed(list(self.vms.values()))

    def createVM(self, spec: MachineSpec) -> Deferred[None]:
        def create(spec: MachineSpec) -> None:
            self.vms[spec.id] = Machine(spec.id, spec.name, spec.group, POWERED_OFF)
            self.specs[spec.id], self.kept[spec.id] = spec, []

        return self._do("createVM", create, spec)

    def removeVM(self, vm: str) -> Deferred[None]:
        def remove(vm: str) -> None:
            self._machine(vm)
            del self.vms[vm]

        return self._do("removeVM", remove, vm)

    def start(self, vm: str) -> Deferred[None]:
        return self._move("start", vm, OFF, RUNNING)

    def powerOff(self, vm: str) -> Deferred[None]:
        return self._move("powerOff", vm, {RUNNING, PAUSED}, POWERED_OFF)

    def shutdown(self, vm: str) -> Deferred[None]:
        return self._move("shutdown", vm, {RUNNING}, RUNNING)

    def reset(self, vm: str) -> Deferred[None]:
        return self._move("reset", vm, {RUNNING}, RUNNING)

    def pause(self, vm: str) -> Deferred[None]:
        return self._move("pause", vm, {RUNNING}, PAUSED)

    def resume(self, vm: str) -> Deferred[None]:
        return self._move("resume", vm, {PAUSED}, RUNNING)

    def saveState(self, vm: str) -> Deferred[None]:
        return self._move("saveState", vm, {RUNNING, PAUSED}, SAVED)

    def discardState(self, vm: str) -> Deferred[None]:
        return self._move("discardState", vm, {SAVED}, POWERED_OFF)

    def takeSnapshot(self, vm: str, name: str, description: str) -> Deferred[None]:
        def take(vm: str, name: str, description: str) -> None:
            if any(kept.name == name for kept in self.kept[self._machine(vm).id]):
                raise SnapshotExists(name)
            self.kept[vm].append(Snapshot(name, description, 1.0))

        return self._do("takeSnapshot", take, vm, name, description)

    def restoreSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._move(f"restoreSnapshot {name}", vm, OFF, POWERED_OFF)

    def deleteSnapshot(self, vm: str, name: str) -> Deferred[None]:
        def delete(vm: str, name: str) -> None:
            if all(kept.name != name for kept in self.kept[vm]):
                raise UnknownSnapshot(name)
            self.kept[vm] = [kept for kept in self.kept[vm] if kept.name != name]

        return self._do("deleteSnapshot", delete, vm, name)

    def listSnapshots(self, vm: str) -> Deferred[list[Snapshot]]:
        return succeed(self.kept[vm])

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        return succeed(GuestAddress("127.0.0.1", 1, 2) if self.vms[vm].state is RUNNING else None)

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return succeed({"cpuSeconds": 1.5, "memoryBytes": 2.0})
