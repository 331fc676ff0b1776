"""The plugin as a whole: machines in STATE_DIR/vms, made from directories or archives."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vmcontroller.errors import HypervisorMissing
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.face import Face
from vmcontroller.hypervisors.common.host import Host, IPluginReactor
from vmcontroller.hypervisors.process import images
from vmcontroller.hypervisors.process.launch import PATIENCE, Launcher
from vmcontroller.hypervisors.process.machine import ProcessMachine
from vmcontroller.hypervisors.process.record import Home, Record
from vmcontroller.interfaces import IHypervisor, IMetrics, IProbe, Suitability
from vmcontroller.machine import MachineSpec


@implementer(IHypervisor, IMetrics, IProbe)
class ProcessHypervisor(Face[ProcessMachine]):
    """Machines that are guest agents in private directories. They are not isolated from the host.

    Saved states and snapshots hold a machine's directories, not its programs: they end as in a power cut.
    ``command`` is how an agent is called, ``patience`` the seconds that it may take to open its ports.
    """

    name = "process"

    def __init__(
        self,
        reactor: IPluginReactor,
        state_dir: Path,
        owner: str,
        command: Sequence[str],
        patience: float = PATIENCE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._host = Host(reactor, wall)
        self._launcher = Launcher(self._host, command, patience)
        super().__init__(self._host, state_dir / "vms", owner)

    def version(self) -> Deferred[str]:
        return succeed(f"Python {platform.python_version()}")

    def probe(self) -> Deferred[Suitability]:
        if not proc.available():
            return succeed(Suitability(False, False, "it needs Linux with /proc", isolated=False))
        return succeed(Suitability(True, True, "its machines are mere processes of this host", isolated=False))

    def getStats(self, vm: str) -> Deferred[dict[str, float]]:
        return self._tell(vm, ProcessMachine.getStats)

    async def _prepare(self) -> None:
        if not proc.available():
            raise HypervisorMissing("the hypervisor 'process' needs Linux with /proc; choose another hypervisor")

    def _load(self, path: Path) -> ProcessMachine:
        return self._known(Home(path), Home(path).load())

    async def _build(self, spec: MachineSpec) -> ProcessMachine:
        record = Record.of(self._owner, spec)
        await self._host.in_thread(self._furnish, spec, record)
        return self._known(Home(self._folder / spec.id), record)

    def _furnish(self, spec: MachineSpec, record: Record) -> None:
        with self._draft(spec) as draft:
            # Its guest has the host's own clock.
            Home(draft).furnish(record, json.dumps({**spec.seed, "setClock": False}))
            images.fill(record.image, Home(draft).files)

    def _known(self, home: Home, record: Record) -> ProcessMachine:
        return ProcessMachine(self._host, self._launcher, home, record)
