"""A host with machines, in memory: the real Machines, whose guests the test speaks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from tests.vmcontroller.doubles import Host, result
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.machines import Machines
from vmcontroller.turns import Turns


class House(Host):
    """A host with machines. It is the Dialer, too."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hypervisor = MemoryHypervisor()
        self.dialled: set[str] = set()
        self.admitted: set[str] = set()
        self.keys: list[Deferred[tuple[str, str]]] = []
        self.keys_come_late = False
        self.machines = Machines(
            self.hypervisor,
            self.ledger,
            self.controller,
            self,
            make_key=self._make_key,
            admit=self.admitted.add,
            dismiss=self.admitted.discard,
            seed={"daemon": "d"},
            turns=Turns(100, self.controller.wait_for_guest),
            network_allowed=True,
        )

    def _make_key(self) -> Any:
        made: Deferred[tuple[str, str]] = Deferred()
        self.keys.append(made)
        if not self.keys_come_late:
            made.callback(("private", "public"))
        return made

    def dial(self, vm: str) -> None:
        self.dialled.add(vm)

    def drop(self, vm: str) -> None:
        self.dialled.discard(vm)

    def make(self, name: str, **options: Any) -> str:
        """A VM; its id."""
        return result(self.machines.create(name, "", options)).id

    def bring_up(self, name: str, **options: Any) -> str:
        """A VM that runs and whose agent is there; its id."""
        vm = self.make(name, **options)
        result(self.machines.start(vm))
        self.join(vm)
        return vm

    def audience(self, to: str, group: str = "default") -> set[str]:
        """The names of those who are meant."""
        return set(result(self.machines.audience(to, group)).values())
