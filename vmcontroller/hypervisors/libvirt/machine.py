"""A machine that is a domain in libvirt: what it can do besides the verbs of every driven machine."""

from __future__ import annotations

from vmcontroller.hypervisors.common.driven import ON, DrivenMachine, Reach, Record
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.record import Home
from vmcontroller.hypervisors.common.verb import verb
from vmcontroller.hypervisors.libvirt.domain import Domain


class LibvirtMachine(DrivenMachine):
    """A VM that is a domain."""

    def __init__(self, host: Host, home: Home, record: Record, domain: Domain, reach: Reach) -> None:
        super().__init__(host, home, record, domain, reach)
        self._domain = domain

    @verb()
    async def getStats(self) -> dict[str, float]:
        return await self._do(self._domain.usage)

    @verb(ON)
    async def screenshot(self) -> bytes:
        return await self._do(self._domain.picture)
