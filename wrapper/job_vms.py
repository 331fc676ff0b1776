"""The VMs of one job: their names, the daemon that runs them, the lease on them, and their removal.

A job's VMs are a group of their own. They are called ``boinc_HASH_LABEL``: the hash is of the result's name, or of
the directory where no client gave one, so jobs never meet. Whatever bears that name and is not remembered in the
slot was left behind by another job of the same directory, and is removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vmcontroller import client as daemon
from wrapper import vm_memory
from wrapper.bell import Bell
from wrapper.errand import Errand, Steps
from wrapper.lease import Lease
from wrapper.remote import Code, Refused, Remote
from wrapper.task import VM_FAILED, Ending, Place
from wrapper.vm_memory import Memory

#: Seconds that the daemon may take for one call; to make or start a VM is the longest.
CALL_LIMIT = 600.0
#: How often a clean-up that failed is tried again, and seconds between.
TRIES = 3
RETRY = 2.0


class JobVMs:
    """``memory`` is what the slot keeps of them, None where there are none. Nothing happens before a VM is needed."""

    def __init__(self, place: Place, bell: Bell) -> None:
        self._place = place
        owner = place.runtime.init_data.result_name or f"slot:{place.slot}"
        self.hash = hashlib.sha256(owner.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.group = f"boinc-{self.hash}"
        self.remote = Remote(bell.ring)
        self.memory = vm_memory.read(place.slot)
        self._wanted = self.memory is not None
        self._lease = Lease(self._holder(owner), bell.ring, place.clock)
        self._lease.id = self.memory.lease if self.memory else ""

    def _holder(self, owner: str) -> str:
        return f"vmwrapper, {owner.removeprefix('slot:')}"

    def name(self, label: str) -> str:
        """What the VM that a job calls ``label`` is called on this host."""
        return f"boinc_{self.hash}_{label}"

    def remember(self, **changes: Any) -> Memory:
        """Change what the slot keeps, on the disk first. OSError."""
        memory = replace(self.memory or Memory(), **changes)
        vm_memory.write(self._place.slot, memory)
        self.memory = memory
        return memory

    def made(self, label: str) -> None:
        """A VM is about to be made."""
        labels = (self.memory or Memory()).labels
        self.remember(labels=(*labels, label) if label not in labels else labels)

    # -- what the job's course asks for

    def keep(self) -> None:
        """Renew the lease when that is due. Called every second."""
        self._lease.keep()

    def save(self) -> Errand | None:
        """Put the VMs away; None when there are none."""
        return Errand(self._patiently(self._save), self._place.clock) if self._wanted else None

    def remove(self, keep: frozenset[str] = frozenset()) -> Errand | None:
        """Remove the VMs but those labelled ``keep``; None when there is nothing to remove."""
        if not self._wanted or (keep and keep.issuperset(self.memory.labels if self.memory else ())):
            return None
        if self.memory:
            labels = ", ".join(label for label in self.memory.labels if label not in keep)
            self._place.events.say("cleanUp", f"removing {labels or 'what was left behind'}")
        return Errand(self._patiently(lambda: self._remove(keep)), self._place.clock)

    # -- the daemon

    @property
    def lease_id(self) -> str:
        """What the daemon calls our lease."""
        return self._lease.id

    @property
    def is_leased(self) -> bool:
        """Whether the daemon still keeps the VMs running for us, as far as we know."""
        return self.remote.client is not None and bool(self._lease.id)

    def open(self) -> Steps[None]:
        """Find the daemon, or start one, and hold a lease there."""
        if self.remote.client is None:
            yield from self._try_to_connect()
        yield from self._lease.open(self.remote)
        if self.memory and self.memory.lease != self._lease.id:
            self.remember(lease=self._lease.id)

    def _try_to_connect(self) -> Steps[None]:
        # Whoever is interrupted here leaves a daemon that has to be told to go.
        self._wanted = True
        try:
            yield from self._connect()
        except Refused:
            self._wanted = self.memory is not None
            raise

    def _connect(self) -> Steps[None]:
        chosen = self._place.options.state_dir
        state_dir = chosen or (yield self.remote.do(daemon.default_state_dir))
        address = yield self.remote.do(lambda: daemon.find(state_dir))
        if address:
            self._place.events.say("daemon", f"using the daemon that runs, process {address.pid}")
        else:
            self._place.events.say("daemon", "starting a daemon")
            yield self.remote.do(lambda: daemon.start(state_dir, ["--while-leased"]))
        client = yield self.remote.do(lambda: daemon.connect(state_dir, self._place.slot, CALL_LIMIT))
        self._lease.connect(client.another())
        self.remote.client = client

    def disconnected(self) -> None:
        """The daemon is gone; open() looks for it anew."""
        self.remote.client = None

    def begin(self) -> Steps[None]:
        """Before the first VM of this job: remove what another job left here under its names."""
        if self.memory is None:
            yield from self._remove_vms(frozenset())
            self.remember(lease=self._lease.id)

    # -- clean-up

    def _patiently(self, work: Callable[[], Steps[Ending]]) -> Steps[Ending]:
        trouble = ""
        for _ in range(TRIES):
            try:
                yield from self.open()
                ending: Ending = yield from work()
                return ending
            except Refused as refusal:
                trouble = str(refusal)
                if refusal.code == Code.NOT_RUNNING:
                    self.disconnected()
            yield RETRY
        return Ending(VM_FAILED, self._what_remains(trouble))

    def _what_remains(self, trouble: str) -> str:
        names = ", ".join(self.name(label) for label in (self.memory or Memory()).labels)
        remedy = f"; `vmcontroller rm` removes {names}" if names else ""
        return f"the VMs could not be put away or removed: {trouble}{remedy}"

    def _save(self) -> Steps[Ending]:
        for name in (yield from self._existing()):
            try:
                yield self.remote.call("saveState", name)
            except Refused as refusal:
                if refusal.code not in (Code.BAD_STATE, Code.UNKNOWN_VM):
                    raise
        yield from self._lease.close(self.remote)
        return Ending(0, "the VMs are saved")

    def _remove(self, keep: frozenset[str]) -> Steps[Ending]:
        yield from self._remove_vms(keep)
        if keep:
            self.remember(labels=tuple(label for label in (self.memory or Memory()).labels if label in keep))
        else:
            yield from self._lease.close(self.remote)
            vm_memory.forget(self._place.slot)
            self.memory, self._wanted = None, False
        return Ending(0, "the VMs are removed")

    def _remove_vms(self, keep: frozenset[str]) -> Steps[None]:
        kept = {self.name(label) for label in keep}
        for name in (yield from self._existing()):
            if name not in kept:
                yield from self._tolerating(Code.UNKNOWN_VM, "removeVM", name)
        if not keep:
            for details in (yield self.remote.call("listCmds", {"group": self.group})):
                yield from self._tolerating(Code.UNKNOWN_COMMAND, "forgetCmd", details["cmdId"])

    def _existing(self) -> Steps[list[str]]:
        names = yield self.remote.call("listVMs")
        return [name for name in names if name.startswith(self.name(""))]

    def _tolerating(self, code: Code, method: str, argument: str) -> Steps[None]:
        try:
            yield self.remote.call(method, argument)
        except Refused as refusal:
            if refusal.code != code:
                raise
