"""The plugin's face: every call of IHypervisor goes to the machine that it names.

Machines lie in STATE_DIR/vms, one directory each, named after their ids. Only those whose machine.json bears the
owner's mark are listed or touched.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from vmcontroller.errors import BadRequest, HypervisorMissing, UnknownVM, VMExists
from vmcontroller.hypervisors.process import files, images, proc
from vmcontroller.hypervisors.process.launch import PATIENCE, IProcessReactor, Launcher
from vmcontroller.hypervisors.process.machine import Host, ProcessMachine
from vmcontroller.hypervisors.process.record import Home, Record
from vmcontroller.interfaces import IHypervisor, IMetrics
from vmcontroller.machine import ID_PATTERN, NAME_PATTERN, GuestAddress, Machine, MachineSpec, Snapshot

P = ParamSpec("P")
R = TypeVar("R")


@implementer(IHypervisor, IMetrics)
class ProcessHypervisor:
    """Machines that are guest agents in private directories. They are not isolated from the host.

    Saved states and snapshots hold a machine's directories, not its programs: they end as in a power cut.
    ``command`` is how an agent is called, ``patience`` the seconds that it may take to open its ports.
    """

    name = "process"
    log = Logger()

    def __init__(
        self,
        reactor: IProcessReactor,
        state_dir: Path,
        owner: str,
        command: Sequence[str],
        patience: float = PATIENCE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._host = Host(reactor, Launcher(reactor, command, patience), wall)
        self._folder = state_dir / "vms"
        self._owner = owner
        self._machines: dict[str, ProcessMachine] = {}
        self._in_the_making: list[Record | MachineSpec] = []

    # -- the whole

    def connect(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> None:
        if not proc.available():
            raise HypervisorMissing("the hypervisor 'process' needs Linux with /proc; choose another hypervisor")
        homes = await self._host.in_thread(self._homes)
        self._machines = {record.id: ProcessMachine(self._host, home, record) for home, record in homes}
        await self._tell_all(list(self._machines.values()), ProcessMachine.recover)

    def _homes(self) -> list[tuple[Home, Record]]:
        try:
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            files.sweep(self._folder, self._owner)
            return [found for path in sorted(self._folder.iterdir()) if (found := self._home(path))]
        except OSError as error:
            raise files.explain(error) from error

    def _home(self, path: Path) -> tuple[Home, Record] | None:
        try:
            record = Home(path).load()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.log.warn("{path} is left alone, its machine.json cannot be read: {error}", path=path, error=error)
            return None
        return (Home(path), record) if (record.owner, record.id) == (self._owner, path.name) else None

    def disconnect(self, stop: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._disconnect(stop))

    async def _disconnect(self, stop: bool) -> None:
        machines = list(self._machines.values())
        self._machines.clear()
        await self._tell_all(machines, lambda machine: machine.leave(stop))

    def version(self) -> Deferred[str]:
        return succeed(f"Python {platform.python_version()}")

    def machines(self) -> Deferred[list[Machine]]:
        return succeed([machine.record.machine(machine.state) for machine in self._machines.values()])

    # -- machines come and go

    def createVM(self, spec: MachineSpec) -> Deferred[None]:
        return Deferred.fromCoroutine(self._create(spec))

    async def _create(self, spec: MachineSpec) -> None:
        with self._making(spec):
            home, record = Home(self._folder / spec.id), Record.of(self._owner, spec)
            await self._host.in_thread(self._build, home, record, json.dumps(dict(spec.seed)))
            self._machines[spec.id] = ProcessMachine(self._host, home, record)

    @contextmanager
    def _making(self, spec: MachineSpec) -> Iterator[None]:
        if not ID_PATTERN.match(spec.id) or not NAME_PATTERN.match(spec.name):
            raise BadRequest(
                f"{spec.id!r} or {spec.name!r} cannot be a VM's id and name; see docs/reference/plugins.md"
            )
        known: list[Record | MachineSpec] = [machine.record for machine in self._machines.values()]
        if any(spec.id == other.id or spec.name == other.name for other in known + self._in_the_making):
            raise VMExists(f"there is a VM {spec.name!r}, or one with the id {spec.id!r}, already; choose another name")
        self._in_the_making.append(spec)
        try:
            yield
        finally:
            self._in_the_making.remove(spec)

    def _build(self, home: Home, record: Record, seed: str) -> None:
        try:
            with files.draft(self._folder, self._owner) as draft:
                Home(draft).furnish(record, seed)
                images.fill(record.image, draft / home.files.name)
                files.move(draft, home.path)
        except FileExistsError as error:
            raise VMExists(f"{home.path} exists and is not ours; choose another id") from error
        except OSError as error:
            raise files.explain(error) from error

    def removeVM(self, vm: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(vm))

    async def _remove(self, vm: str) -> None:
        machine = self._machine(vm)
        try:
            await machine.remove()
        finally:
            if machine.removed and self._machines.get(vm) is machine:
                del self._machines[vm]

    # -- verbs of one machine

    def start(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.start)

    def powerOff(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.powerOff)

    def shutdown(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.shutdown)

    def reset(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.reset)

    def pause(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.pause)

    def resume(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.resume)

    def saveState(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.saveState)

    def discardState(self, vm: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.discardState)

    def takeSnapshot(self, vm: str, name: str, description: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.takeSnapshot, name, description)

    def restoreSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.restoreSnapshot, name)

    def deleteSnapshot(self, vm: str, name: str) -> Deferred[None]:
        return self._tell(vm, ProcessMachine.deleteSnapshot, name)

    def listSnapshots(self, vm: str) -> Deferred[list[Snapshot]]:
        return self._tell(vm, ProcessMachine.listSnapshots)

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return self._tell(vm, ProcessMachine.getStats)

    def guestAddress(self, vm: str) -> Deferred[GuestAddress | None]:
        return self._tell(vm, lambda machine: succeed(machine.address))

    def _machine(self, vm: str) -> ProcessMachine:
        if vm not in self._machines:
            raise UnknownVM(f"no VM has the id {vm!r}; listVMs tells which there are")
        return self._machines[vm]

    def _tell(
        self,
        vm: str,
        verb: Callable[Concatenate[ProcessMachine, P], Deferred[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[R]:
        try:
            return verb(self._machine(vm), *args, **kwargs)
        except UnknownVM:
            return fail()

    async def _tell_all(self, machines: list[ProcessMachine], verb: Callable[[ProcessMachine], Deferred[None]]) -> None:
        """Say it to each; what one cannot do is logged and does not keep the others from it."""
        results = await DeferredList([verb(machine) for machine in machines], consumeErrors=True)
        for machine, (_, failure) in zip(machines, results, strict=True):
            if failure is not None and not failure.check(UnknownVM):
                self.log.failure("the VM {name}", failure, name=machine.record.name)
