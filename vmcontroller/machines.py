"""The VMs: their names, how they are made with an identity, and what else happens when their state changes.

The hypervisor owns every machine's state and is asked for it each time; here is only what it cannot know:
secrets, keys, and that a guest has to be dialled when its machine runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import providedBy
from zope.interface.interface import InterfaceClass

from vmcontroller.controller import Controller
from vmcontroller.errors import (
    BadName,
    BadState,
    DiskFull,
    GuestSilent,
    HypervisorFailed,
    NobodyMatches,
    UnknownHypervisor,
    UnknownSnapshot,
    UnknownVM,
    VMExists,
)
from vmcontroller.errors import Unsupported as UnsupportedByHypervisor
from vmcontroller.interfaces import IComposite, IHypervisor
from vmcontroller.ledger import Ledger
from vmcontroller.machine import NAME_PATTERN, Machine, MachineSpec, MachineState, Progress, untold
from vmcontroller.turns import Turns
from vmcontroller.wishes import PATTERN_SIGNS, spec_of

#: States of a VM in which nothing runs: it has no guest, however short a time ago one was heard.
OFF = frozenset({MachineState.POWERED_OFF, MachineState.SAVED, MachineState.ABORTED})
#: States of a VM in which its programs are there, and can be saved.
ON = frozenset({MachineState.RUNNING, MachineState.PAUSED})
#: States of a VM whose guest is silent and yet will take a command: it goes on where it was.
SLEEPING = frozenset({MachineState.PAUSED, MachineState.SAVED, MachineState.SAVING, MachineState.RESTORING})


class Dialer(Protocol):
    """Keeps a connection to every guest that runs."""

    def dial(self, vm: str) -> None:
        """This VM runs: connect, and connect again whenever the connection is lost."""

    def drop(self, vm: str) -> None:
        """This VM does not run: let go."""


class Machines:
    """``make_key`` gives a new Chirp key as (private PEM, public PEM); ``admit``/``dismiss`` a guest at the broker."""

    log = Logger()

    def __init__(
        self,
        hypervisor: Any,
        ledger: Ledger,
        controller: Controller,
        dialer: Dialer,
        make_key: Callable[[], Awaitable[tuple[str, str]]],
        admit: Callable[[str], None],
        dismiss: Callable[[str], None],
        seed: Mapping[str, Any],
        turns: Turns,
        network_allowed: bool,
    ) -> None:
        self.hypervisor = hypervisor
        self._ledger = ledger
        self._controller = controller
        self._dialer = dialer
        self._make_key = make_key
        self._admit = admit
        self._dismiss = dismiss
        self._seed = seed
        self._turns = turns
        self._network_allowed = network_allowed
        self._being_made: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        """Connect to the hypervisor and take up every machine of earlier runs."""
        await self.hypervisor.connect()
        machines = {machine.id: machine for machine in await self.hypervisor.machines()}
        for guest in self._ledger.guests():
            if guest.vm not in machines:
                self.gone(guest.vm)
                continue
            self._admit(guest.vm)
            if machines[guest.vm].state is MachineState.RUNNING:
                self._dialer.dial(guest.vm)

    async def close(self, stop: bool) -> None:
        """Let go of every guest, and of the hypervisor."""
        self._closed = True
        for guest in self._ledger.guests():
            self._dialer.drop(guest.vm)
        await self.hypervisor.disconnect(stop)

    def considered(self) -> list[dict[str, Any]]:
        """Which hypervisors the one in use was chosen from, best first; none where the configuration named it."""
        if not IComposite.providedBy(self.hypervisor):
            return []
        return [{"name": c.name, "chosen": c.chosen, **vars(c.suitability)} for c in self.hypervisor.considered]

    # -- names

    async def all(self) -> list[Machine]:
        """Every VM, ordered by name. One that is found to be off boots no more, and its guest is nobody from now on."""
        machines = sorted(await self.hypervisor.machines(), key=lambda machine: machine.name)
        for machine in machines:
            if machine.state in OFF:
                self._turns.over(machine.id)
                if self._controller.guests.get(machine.id) is not None:
                    self._controller.stopped(machine.id)
        return machines

    async def find(self, vm: str) -> Machine:
        """The VM of this name or id; UnknownVM."""
        machines = await self.all()
        try:
            return _called(machines, vm)
        except UnknownVM:
            self._notice_gone(vm)
            raise

    def _notice_gone(self, title: str) -> None:
        for guest in self._ledger.guests():
            titles = {guest.name, guest.vm}
            if title in titles and not titles & self._being_made and not self._closed:
                self.gone(guest.vm)

    async def audience(self, to: str, group: str) -> dict[str, str]:
        """Who a command for ``to`` is meant for, id → name: one VM, or all that match a pattern and take commands."""
        machines = await self.all()
        try:
            machine = _called(machines, to)
        except UnknownVM:
            if not PATTERN_SIGNS.search(to):
                raise
            return self._matching(machines, to, group)
        if not self._takes_commands(machine):
            raise GuestSilent(_why_silent(machine))
        return {machine.id: machine.name}

    def _matching(self, machines: list[Machine], pattern: str, group: str) -> dict[str, str]:
        found = {m.id: m.name for m in machines if _matches(m, pattern, group) and self._takes_commands(m)}
        if not found:
            raise NobodyMatches(
                f"no VM that runs matches {pattern!r} in the group {group!r}; listRegisteredVMs() names them"
            )
        return found

    def _takes_commands(self, machine: Machine) -> bool:
        return machine.state in SLEEPING or self._controller.guests.get(machine.id) is not None

    # -- life

    async def create(
        self,
        name: str,
        image: str,
        options: Mapping[str, Any],
        claim: Callable[[str], None] = lambda vm: None,
        progress: Progress = untold,
    ) -> Machine:
        """Make a VM with an identity of its own; it does not exist at all if anything fails. VMExists.

        ``claim`` is called with its id before it is made; what that raises keeps it from being made. ``progress`` hears
        how far the image is read.
        """
        spec = replace(spec_of(name, image, options, self._network_allowed), progress=progress)
        if not IComposite.providedBy(self.hypervisor) and spec.hypervisor not in ("", self.hypervisor.name):
            raise UnknownHypervisor(f"createVM: {spec.hypervisor!r} is not in use here; {self.hypervisor.name} is")
        titles = {spec.name, spec.id}
        if titles & self._being_made:
            raise VMExists(f"a VM called {name!r} is being made at this moment; choose another name")
        self._being_made |= titles
        try:
            return await self._make(spec, claim)
        finally:
            self._being_made -= titles

    async def _make(self, spec: MachineSpec, claim: Callable[[str], None]) -> Machine:
        # A name that is another's id, too, would make it unclear who is meant.
        if any({spec.name, spec.id} & {other.name, other.id} for other in await self.all()):
            raise VMExists(f"a VM called {spec.name!r} exists already; choose another name, or remove it")
        private, public = await self._make_key()
        secret = secrets.token_hex(32)
        self._ledger.add_guest(spec.id, spec.name, spec.group, secret, private)
        try:
            claim(spec.id)
            await self.hypervisor.createVM(self._with_seed(spec, secret, public))
        except BaseException:
            self._ledger.remove_guest(spec.id)
            raise
        self._admit(spec.id)
        return await self.find(spec.id)

    def _with_seed(self, spec: MachineSpec, secret: str, public: str) -> MachineSpec:
        seed = {
            **self._seed,
            "id": spec.id,
            "name": spec.name,
            "group": spec.group,
            "secret": secret,
            "chirpKey": public,
            "setClock": True,
        }
        return replace(spec, seed=seed)

    async def remove(self, vm: str) -> None:
        """Remove a VM and all that belongs to it."""
        machine = await self.find(vm)
        await self.hypervisor.removeVM(machine.id)
        self._forget(machine.id)

    def gone(self, vm: str) -> None:
        """Somebody else has removed this VM: nothing is kept of it, and whoever waits for its commands is told."""
        self.log.warn("{vm} is gone, removed behind our back", vm=vm)
        self._forget(vm)

    def _forget(self, vm: str) -> None:
        self._turns.over(vm)
        self._dialer.drop(vm)
        self._dismiss(vm)
        self._controller.removed(vm)

    async def start(self, vm: str) -> None:
        """Run it when it is its turn, and dial its guest."""
        machine = await self.find(vm)

        async def start() -> None:
            await self.hypervisor.start(machine.id)
            self._dialer.dial(machine.id)

        await self._turns.boot(machine.id, start)

    async def resume(self, vm: str) -> None:
        """Let it go on; its guest may have been given up meanwhile, and has to hear what time it is."""
        machine = await self.find(vm)
        await self.hypervisor.resume(machine.id)
        self._dialer.dial(machine.id)
        self._controller.ask_who(machine.id)

    async def stop(self, vm: str, verb: str) -> None:
        """``powerOff``, ``saveState`` or ``discardState``: its guest is nobody until it starts again."""
        machine = await self.find(vm)
        await getattr(self.hypervisor, verb)(machine.id)
        self._turns.over(machine.id)
        self._dialer.drop(machine.id)
        self._controller.stopped(machine.id)

    async def put_away(self) -> None:
        """Save all that run. HypervisorFailed or DiskFull names each that cannot be; the others are saved then.

        Those whose hypervisor cannot save at all are left to ``close``.
        """
        running = [machine for machine in await self.all() if machine.state in ON]
        saving = [Deferred.fromCoroutine(self.stop(machine.id, "saveState")) for machine in running]
        results: list[tuple[bool, Any]] = await DeferredList(saving, consumeErrors=True)
        failed = {
            machine.name: failure
            for machine, (_, failure) in zip(running, results, strict=True)
            if failure and not failure.check(BadState, UnknownVM, UnsupportedByHypervisor)
        }
        if failed:
            raise _unsaved(failed)

    async def plain(self, vm: str, verb: str, *arguments: Any) -> Any:
        """Any other verb of the hypervisor."""
        machine = await self.find(vm)
        return await getattr(self.hypervisor, verb)(machine.id, *arguments)

    async def optional(self, interface: InterfaceClass, vm: str, verb: str, *arguments: Any) -> Any:
        """A verb of a capability that not every hypervisor has; Unsupported."""
        machine = await self.find(vm)
        several = IComposite.providedBy(self.hypervisor)
        hypervisor = self.hypervisor.member(machine.id) if several else self.hypervisor
        if not interface.providedBy(hypervisor):
            able = ", ".join(sorted(i.__name__ for i in providedBy(hypervisor) if i is not IHypervisor))
            raise UnsupportedByHypervisor(f"{hypervisor.name} has no {verb}; beyond the common verbs it has: {able}")
        return await getattr(hypervisor, verb)(machine.id, *arguments)

    # -- snapshots

    async def take_snapshot(self, vm: str, name: str, description: str) -> None:
        """Take it, note which commands it holds, and raise the session so that it holds a smaller number."""
        if not NAME_PATTERN.match(name):
            raise BadName(f"takeSnapshot: {name!r} is no name for a snapshot; use 1 to 128 characters without / or \\")
        machine = await self.find(vm)
        await self._turns.snapshot(lambda: self._take_snapshot(machine, name, description))

    async def _take_snapshot(self, machine: Machine, name: str, description: str) -> None:
        held = self._controller.holding(machine.id)
        await self.hypervisor.takeSnapshot(machine.id, name, description)
        self._ledger.hold(machine.id, name, held)
        if machine.state in ON:
            self._controller.ask_who(machine.id)

    async def restore_snapshot(self, vm: str, name: str) -> None:
        """Go back to a snapshot; "" is the newest."""
        machine = await self.find(vm)
        names = [snapshot.name for snapshot in await self.hypervisor.listSnapshots(machine.id)]
        if not names or (name and name not in names):
            raise UnknownSnapshot(f"{machine.name} has no snapshot {name!r}; it has {', '.join(names) or 'none'}")
        if machine.state not in (MachineState.POWERED_OFF, MachineState.SAVED, MachineState.ABORTED):
            raise BadState(f"{machine.name} is {machine.state.value}; power it off before it is restored")
        self._controller.restored(machine.id)
        await self.hypervisor.restoreSnapshot(machine.id, name or names[-1])

    async def delete_snapshot(self, vm: str, name: str) -> None:
        """Delete it, with the note of what it holds."""
        machine = await self.find(vm)
        await self.hypervisor.deleteSnapshot(machine.id, name)
        self._ledger.release(machine.id, name)

    async def snapshots(self, vm: str) -> list[dict[str, Any]]:
        """Oldest first, each with the commands that it holds."""
        machine = await self.find(vm)
        found: Iterable[Any] = await self.hypervisor.listSnapshots(machine.id)
        return [{**vars(snapshot), "commands": self._ledger.held(machine.id, snapshot.name)} for snapshot in found]


def _called(machines: list[Machine], title: str) -> Machine:
    """The one with this name, or else the one with this id; UnknownVM."""
    titles = {machine.id: machine for machine in machines} | {machine.name: machine for machine in machines}
    if title not in titles:
        raise UnknownVM(f"no VM is called {title!r}; listVMs() names all that exist")
    return titles[title]


def _matches(machine: Machine, pattern: str, group: str) -> bool:
    return machine.group == group and (fnmatchcase(machine.name, pattern) or fnmatchcase(machine.id, pattern))


def _why_silent(machine: Machine) -> str:
    if machine.state is MachineState.RUNNING:
        return f"the agent in {machine.name} has not said HELLO yet; waitForVM({machine.name!r}, 60) waits for it"
    return f"{machine.name} is {machine.state.value}; start({machine.name!r}) runs it"


def _unsaved(failed: Mapping[str, Failure]) -> DiskFull | HypervisorFailed:
    kind = DiskFull if all(failure.check(DiskFull) for failure in failed.values()) else HypervisorFailed
    reasons = "; ".join(f"{name}: {failure.getErrorMessage()}" for name, failure in failed.items())
    way_out = "mend that and stop it again, or stop it without saving (saveVMs false, --leave-vms)"
    return kind(f"the daemon goes on, as it could not save {reasons}; {way_out}")
