"""The VMs: their names, how they are made with an identity, and what else happens when their state changes.

The hypervisor owns every machine's state and is asked for it each time; here is only what it cannot know:
secrets, keys, and that a guest has to be dialled when its machine runs.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol

from twisted.logger import Logger
from zope.interface import providedBy
from zope.interface.interface import InterfaceClass

from vmcontroller.controller import Controller
from vmcontroller.errors import BadRequest, BadState, GuestSilent, NobodyMatches, UnknownSnapshot, UnknownVM, VMExists
from vmcontroller.errors import Unsupported as UnsupportedByHypervisor
from vmcontroller.interfaces import IHypervisor, IKeepsPrograms
from vmcontroller.ledger import Ledger
from vmcontroller.machine import ID_PATTERN, NAME_PATTERN, Machine, MachineSpec, MachineState

DEFAULT_GROUP = "default"
#: States of a VM whose guest is silent and yet will take a command: it goes on where it was.
SLEEPING = frozenset({MachineState.PAUSED, MachineState.SAVED, MachineState.SAVING, MachineState.RESTORING})
_OPTIONS = {"group": str, "memoryMB": int, "cpus": int, "network": bool, "lease": str, "id": str}
_PATTERN_SIGNS = re.compile(r"[*?\[]")


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
    ) -> None:
        self.hypervisor = hypervisor
        self._ledger = ledger
        self._controller = controller
        self._dialer = dialer
        self._make_key = make_key
        self._admit = admit
        self._dismiss = dismiss
        self._seed = seed
        self._being_made: set[str] = set()

    async def open(self) -> None:
        """Connect to the hypervisor and take up every machine of earlier runs."""
        await self.hypervisor.connect()
        machines = {machine.id: machine for machine in await self.hypervisor.machines()}
        for guest in self._ledger.guests():
            if guest.vm not in machines:
                self.log.warn("{name} is gone, removed behind our back", name=guest.name)
                self._controller.removed(guest.vm)
                continue
            self._admit(guest.vm)
            if machines[guest.vm].state is MachineState.RUNNING:
                self._dialer.dial(guest.vm)

    async def close(self, stop: bool) -> None:
        """Let go of every guest, and of the hypervisor."""
        for guest in self._ledger.guests():
            self._dialer.drop(guest.vm)
        await self.hypervisor.disconnect(stop)

    # -- names

    async def all(self) -> list[Machine]:
        """Every VM, ordered by name."""
        return sorted(await self.hypervisor.machines(), key=lambda machine: machine.name)

    async def find(self, vm: str) -> Machine:
        """The VM of this name or id; UnknownVM."""
        return _called(await self.all(), vm)

    async def audience(self, to: str, group: str) -> dict[str, str]:
        """Who a command for ``to`` is meant for, id → name: one VM, or all that match a pattern and take commands."""
        machines = await self.all()
        try:
            machine = _called(machines, to)
        except UnknownVM:
            if not _PATTERN_SIGNS.search(to):
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
    ) -> Machine:
        """Make a VM with an identity of its own; it does not exist at all if anything fails. VMExists.

        ``claim`` is called with its id before it is made; what that raises keeps it from being made.
        """
        spec = self._spec(name, image, options)
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

    def _spec(self, name: str, image: str, options: Mapping[str, Any]) -> MachineSpec:
        for key, value in options.items():
            if key not in _OPTIONS:
                raise BadRequest(f"createVM: {key!r} is no option; there are {', '.join(_OPTIONS)}")
            if not isinstance(value, _OPTIONS[key]) or (isinstance(value, bool) and _OPTIONS[key] is not bool):
                raise BadRequest(f"createVM: the option {key} must be {_OPTIONS[key].__name__}, not {value!r}")
        if not NAME_PATTERN.match(name) or _PATTERN_SIGNS.search(name) or name != name.strip():
            raise BadRequest(f"createVM: {name!r} is no name for a VM; use 1 to 128 characters without / \\ * ? [")
        spec = MachineSpec(
            id=options.get("id") or _new_id(name),
            name=name,
            group=options.get("group") or DEFAULT_GROUP,
            image=image,
            memory_mb=options.get("memoryMB", 512),
            cpus=options.get("cpus", 1),
            network=options.get("network", False),
        )
        for what in (spec.id, spec.group):
            if not ID_PATTERN.match(what):
                raise BadRequest(f"createVM: {what!r} must be 1 to 64 of the characters 0-9 a-z -")
        if not (1 <= spec.cpus <= 256 and 16 <= spec.memory_mb <= 16 * 1024 * 1024):
            raise BadRequest("createVM: cpus must lie between 1 and 256, memoryMB between 16 and 16777216")
        return spec

    def _with_seed(self, spec: MachineSpec, secret: str, public: str) -> MachineSpec:
        seed = {
            **self._seed,
            "id": spec.id,
            "name": spec.name,
            "group": spec.group,
            "secret": secret,
            "chirpKey": public,
            "setClock": IKeepsPrograms.providedBy(self.hypervisor),
        }
        return MachineSpec(**{**vars(spec), "seed": seed})

    async def remove(self, vm: str) -> None:
        """Remove a VM and all that belongs to it."""
        machine = await self.find(vm)
        await self.hypervisor.removeVM(machine.id)
        self._dialer.drop(machine.id)
        self._dismiss(machine.id)
        self._controller.removed(machine.id)

    async def start(self, vm: str) -> None:
        """Run it, and dial its guest."""
        machine = await self.find(vm)
        await self.hypervisor.start(machine.id)
        self._dialer.dial(machine.id)

    async def resume(self, vm: str) -> None:
        """Let it go on; its guest may have been given up meanwhile."""
        machine = await self.find(vm)
        await self.hypervisor.resume(machine.id)
        self._dialer.dial(machine.id)

    async def stop(self, vm: str, verb: str) -> None:
        """``powerOff``, ``saveState`` or ``discardState``: its guest is nobody until it starts again."""
        machine = await self.find(vm)
        await getattr(self.hypervisor, verb)(machine.id)
        self._dialer.drop(machine.id)
        self._controller.stopped(machine.id)

    async def plain(self, vm: str, verb: str, *arguments: Any) -> Any:
        """Any other verb of the hypervisor."""
        machine = await self.find(vm)
        return await getattr(self.hypervisor, verb)(machine.id, *arguments)

    async def optional(self, interface: InterfaceClass, vm: str, verb: str, *arguments: Any) -> Any:
        """A verb of a capability that not every hypervisor has; Unsupported."""
        if not interface.providedBy(self.hypervisor):
            able = ", ".join(sorted(i.__name__ for i in providedBy(self.hypervisor) if i is not IHypervisor))
            raise UnsupportedByHypervisor(
                f"{self.hypervisor.name} has no {verb}; beyond the common verbs it has: {able}"
            )
        return await self.plain(vm, verb, *arguments)

    # -- snapshots

    async def take_snapshot(self, vm: str, name: str, description: str) -> None:
        """Take it, note which commands it holds, and raise the session so that it holds a smaller number."""
        if not NAME_PATTERN.match(name):
            raise BadRequest(
                f"takeSnapshot: {name!r} is no name for a snapshot; use 1 to 128 characters without / or \\"
            )
        machine = await self.find(vm)
        held = self._controller.holding(machine.id)
        await self.hypervisor.takeSnapshot(machine.id, name, description)
        self._ledger.hold(machine.id, name, held)
        if machine.state in (MachineState.RUNNING, MachineState.PAUSED):
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


def _new_id(name: str) -> str:
    slug = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")[:40]
    return f"{slug or 'vm'}-{secrets.token_hex(4)}"


def _matches(machine: Machine, pattern: str, group: str) -> bool:
    return machine.group == group and (fnmatchcase(machine.name, pattern) or fnmatchcase(machine.id, pattern))


def _why_silent(machine: Machine) -> str:
    if machine.state is MachineState.RUNNING:
        return f"the agent in {machine.name} has not said HELLO yet; waitForVM({machine.name!r}, 60) waits for it"
    return f"{machine.name} is {machine.state.value}; start({machine.name!r}) runs it"
