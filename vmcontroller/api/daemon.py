"""XML-RPC methods for leases, and for the daemon itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict

from vmcontroller import __version__, access
from vmcontroller.controller import Controller
from vmcontroller.leases import Leases
from vmcontroller.ledger import Ledger
from vmcontroller.machines import Machines


class DaemonMethods:
    """``facts`` holds id, broker, stateDir and hypervisor; ``stop`` ends the daemon, with the VMs saved or not."""

    def __init__(
        self,
        machines: Machines,
        controller: Controller,
        ledger: Ledger,
        leases: Leases,
        facts: dict[str, str],
        uptime: Callable[[], float],
        stop: Callable[[bool], None],
    ) -> None:
        self._machines = machines
        self._controller = controller
        self._ledger = ledger
        self._leases = leases
        self._facts = facts
        self._uptime = uptime
        self._stop = stop

    def openLease(self, holder: str, seconds: float = 30.0) -> str:
        """Open a lease for ``holder`` (any text) that ends ``seconds`` after its last renewal. Returns its id.

        VMs made with the option lease and those of leaseVM belong to it; when it ends, those that still run are saved.
        """
        return self._leases.open(holder, seconds)

    def renewLease(self, leaseId: str) -> bool:
        """Start the lease's time anew; fault 700 when it has run out."""
        self._leases.renew(leaseId)
        return True

    async def leaseVM(self, leaseId: str, vm: str) -> bool:
        """Put a VM that exists under a lease, whatever lease it had before: its new holder takes it up."""
        machine = await self._machines.find(vm)
        self._leases.add(leaseId, machine.id)
        return True

    async def closeLease(self, leaseId: str) -> bool:
        """End a lease now."""
        await self._leases.close(leaseId)
        return True

    async def getInfo(self) -> dict:
        """The daemon: id, version, pid, hypervisor, hypervisorVersion, broker, stateDir, uptime (s), and how many vms,
        guests (alive), cmds (without an outcome) and leases there are. ``hypervisors`` is empty unless hypervisor is
        "auto": then [{name, chosen, works, accelerated, isolated, reason}] tells why each was taken or passed over."""
        return {
            **self._facts,
            "version": __version__,
            "pid": os.getpid(),
            "hypervisorVersion": await self._machines.hypervisor.version(),
            "hypervisors": self._machines.considered(),
            "uptime": self._uptime(),
            "vms": len(await self._machines.all()),
            "guests": len(self._controller.guests.alive()),
            "cmds": len({part.cmd_id for part in self._ledger.open_parts()}),
            "leases": self._leases.count(),
        }

    def getBrokerRules(self) -> list:
        """What each VM must be let do at an external broker, and nothing else: [{login, passcode, read, write}].

        ``read`` are the destinations that it subscribes to, ``write`` those that it sends to, as in STOMP. A broker's
        operator turns them into its own rules whenever a VM was made or removed (docs/how-to/external-broker.md).
        """
        return [asdict(access.of_guest(self._facts["id"], guest)) for guest in self._ledger.guests()]

    async def stopDaemon(self, saveVMs: bool = True) -> bool:
        """Stop the daemon. VMs that run are saved, or, with ``saveVMs`` false, left running for the next one.

        Where one cannot be saved the daemon goes on, and fault 501, or 904 for a full disk, names each and says why;
        the others are saved by then. VMs whose hypervisor cannot save are switched off.
        """
        if saveVMs:
            await self._machines.put_away()
        self._stop(saveVMs)
        return True
