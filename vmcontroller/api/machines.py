"""XML-RPC methods for VMs. Where a method has no text of its own, IHypervisor describes it."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable
from typing import Any

from vmcontroller.api.hostpaths import image_path
from vmcontroller.controller import Controller
from vmcontroller.errors import BadRequest
from vmcontroller.interfaces import ICpuCap, IMetrics, IScreenshot
from vmcontroller.leases import Leases
from vmcontroller.machine import MachineState
from vmcontroller.machines import Machines


class MachineMethods:
    """What can be asked of VMs and done with them.

    ``clock`` gives monotonic seconds; ``names_image`` says whether a text is an image's name in the store.
    """

    def __init__(
        self,
        machines: Machines,
        controller: Controller,
        leases: Leases,
        clock: Any,
        names_image: Callable[[str], bool],
    ) -> None:
        self._machines = machines
        self._controller = controller
        self._leases = leases
        self._clock = clock
        self._names_image = names_image
        self._how_far: dict[str, tuple[int, int]] = {}

    # -- which there are

    async def listVMs(self) -> list:
        """The names of all VMs."""
        return [machine.name for machine in await self._machines.all()]

    async def listVMsWithState(self) -> dict:
        """name → state, for all VMs."""
        return {machine.name: machine.state.value for machine in await self._machines.all()}

    async def listRunningVMs(self) -> list:
        """The names of the VMs whose state is Running."""
        return [m.name for m in await self._machines.all() if m.state is MachineState.RUNNING]

    async def listRegisteredVMs(self) -> list:
        """The names of the VMs whose agent has said HELLO and is alive."""
        return [m.name for m in await self._machines.all() if self._controller.guests.get(m.id)]

    async def getNamesToIdsMapping(self) -> dict:
        """name → id, for all VMs."""
        return {machine.name: machine.id for machine in await self._machines.all()}

    async def getIdsToNamesMapping(self) -> dict:
        """id → name, for all VMs."""
        return {machine.id: machine.name for machine in await self._machines.all()}

    async def getVM(self, vm: str) -> dict:
        """One VM: id, name, group, state, and of its guest: alive, lastSeen (seconds ago), addresses, versions,
        load (three averages), memory and disk (octets)."""
        machine = await self._machines.find(vm)
        told = {"id": machine.id, "name": machine.name, "group": machine.group, "state": machine.state.value}
        guest = self._controller.guests.get(machine.id)
        if guest is None:
            return {**told, "alive": False}
        return {
            **told,
            "alive": True,
            "lastSeen": self._clock.seconds() - guest.last_heard,
            "addresses": guest.hello.addresses,
            "versions": dict(guest.hello.versions),
            "load": guest.beacon.load,
            "memory": dict(guest.beacon.memory),
            "disk": dict(guest.beacon.disk),
        }

    def states(self) -> list:
        """The states that a VM can be in."""
        return [state.value for state in MachineState]

    async def getState(self, vm: str) -> str:
        """The VM's state, one of states()."""
        return (await self._machines.find(vm)).state.value

    async def version(self) -> str:
        return str(await self._machines.hypervisor.version())

    async def waitForVM(self, vm: str, timeout: float) -> bool:
        """Wait until the VM's agent is there to take commands; False when that took longer than ``timeout`` seconds."""
        machine = await self._machines.find(vm)
        return await self._controller.wait_for_guest(machine.id, timeout)

    # -- life

    async def createVM(self, name: str, image: str = "", options: dict = {}, *, cwd: str) -> list:
        """Make a VM from an image. Returns [True, name].

        The image is a name in the store, "" for the hypervisor's default, or else a host path; a relative one counts
        from the directory in the URL, and is refused where the URL has none.

        Options: group (text, default "default"), memoryMB (512), cpus (1), network (false), emulation (true; with false
        the VM is refused where its processor would be emulated), id, hypervisor, the name of one of those in use that
        shall make it, and lease, the id of a lease that the VM belongs to.
        """

        def claim(vm: str) -> None:
            if options.get("lease"):
                self._leases.add(options["lease"], vm)

        def tell(done: int, total: int) -> None:
            self._how_far[name] = (done, total)

        if image and not self._names_image(image):
            image = image_path(image, cwd)
        try:
            machine = await self._machines.create(name, image, options, claim, tell)
        finally:
            self._how_far.pop(name, None)
        return [True, machine.name]

    def getCreation(self, name: str) -> dict:
        """How far a createVM that is under way is with the VM's image, which is read once and converted where it has
        to be: done and total (octets). Both are 0 before, afterwards, and when the image is known already."""
        done, total = self._how_far.get(name, (0, 0))
        return {"done": done, "total": total}

    async def removeVM(self, vm: str) -> bool:
        await self._machines.remove(vm)
        return True

    async def start(self, vm: str, guiMode: bool = False) -> bool:
        if guiMode:
            raise BadRequest("start: there is no window; screenshot(vm) shows the screen where the hypervisor can")
        await self._machines.start(vm)
        return True

    async def powerOff(self, vm: str) -> bool:
        await self._machines.stop(vm, "powerOff")
        return True

    async def shutdown(self, vm: str) -> bool:
        await self._machines.plain(vm, "shutdown")
        return True

    async def reset(self, vm: str) -> bool:
        await self._machines.plain(vm, "reset")
        return True

    async def pause(self, vm: str) -> bool:
        await self._machines.plain(vm, "pause")
        return True

    async def resume(self, vm: str) -> bool:
        await self._machines.resume(vm)
        return True

    async def saveState(self, vm: str) -> bool:
        await self._machines.stop(vm, "saveState")
        return True

    async def discardState(self, vm: str) -> bool:
        await self._machines.stop(vm, "discardState")
        return True

    # -- snapshots

    async def takeSnapshot(self, vm: str, name: str, description: str = "") -> bool:
        await self._machines.take_snapshot(vm, name, description)
        return True

    async def restoreSnapshot(self, vm: str, name: str = "") -> bool:
        """Bring a VM back to a snapshot, to the newest without a name.

        It must be PoweredOff, Saved or Aborted. Afterwards it is Saved if the snapshot holds running programs,
        else PoweredOff. Commands that the snapshot does not hold get the outcome rolledBack when the VM runs again.
        """
        await self._machines.restore_snapshot(vm, name)
        return True

    async def deleteSnapshot(self, vm: str, name: str) -> bool:
        await self._machines.delete_snapshot(vm, name)
        return True

    async def listSnapshots(self, vm: str) -> list:
        """The VM's snapshots, oldest first: name, description, taken (seconds since the epoch), and commands, the
        ids of the commands that were open when it was taken."""
        return await self._machines.snapshots(vm)

    # -- what not every hypervisor has

    async def getStats(self, vm: str, key: str = "*") -> dict:
        """What the VM uses: cpuSeconds, memoryBytes, and what else the hypervisor tells; or one ``key`` of it."""
        stats = await self._machines.optional(IMetrics, vm, "getStats")
        if key == "*":
            return dict(stats)
        if key not in stats:
            raise BadRequest(f"getStats: there is no {key!r}; there are {', '.join(sorted(stats))}")
        return {key: stats[key]}

    async def setCpuCap(self, vm: str, percent: int) -> bool:
        """Hold the VM to 1 to 100 ``percent`` of the processors that it has, from now on; 100 lets it loose."""
        if not 1 <= percent <= 100:
            raise BadRequest(f"setCpuCap: percent must lie between 1 and 100, not {percent}")
        await self._machines.optional(ICpuCap, vm, "setCpuCap", percent)
        return True

    async def screenshot(self, vm: str) -> Any:
        """The VM's screen as PNG."""
        return xmlrpc.client.Binary(await self._machines.optional(IScreenshot, vm, "screenshot"))
