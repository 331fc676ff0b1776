"""XML-RPC methods for files: to a guest and back, over Chirp."""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from vmcontroller import transfer
from vmcontroller.api.hostpaths import host_path
from vmcontroller.errors import BadRequest, GuestSilent
from vmcontroller.ledger import Ledger
from vmcontroller.machines import Machines
from vmcontroller.transfers import Progress, Transfers


class FileMethods:
    """Copy files and directories. Paths in the guest count from the directory that it serves."""

    def __init__(self, reactor: Any, machines: Machines, ledger: Ledger, transfers: Transfers) -> None:
        self._reactor = reactor
        self._machines = machines
        self._ledger = ledger
        self._transfers = transfers

    async def cpFileToVM(self, vm: str, localPath: str, remotePath: str = "", *, cwd: str) -> list:
        """Copy a file to a VM, under its own name unless ``remotePath`` gives another.

        Returns [out, err, status] as in 2009: status 0 and a sentence in out, or status 1 and a sentence in err.
        """
        remote = remotePath or Path(localPath).name
        return await self._as_program(self._put(vm, host_path(localPath, cwd), remote), f"{localPath} is in {vm}")

    async def cpFileFromVM(self, vm: str, remotePath: str, localPath: str = "", *, cwd: str) -> list:
        """Copy a file from a VM, to the same path on the host unless ``localPath`` gives another.

        Returns [out, err, status] as cpFileToVM does.
        """
        local = host_path(localPath or remotePath, cwd)
        return await self._as_program(self._get(vm, remotePath, local), f"{remotePath} is here as {local}")

    async def _as_program(self, move: Callable[[Progress], Awaitable[None]], done: str) -> list[Any]:
        ended = await self._transfers.wait(self._transfers.start(move), 7 * 24 * 3600.0)
        return [done, "", 0] if ended.state == "done" else ["", ended.error, 1]

    async def startTransfer(
        self,
        direction: str,
        vm: str,
        source: str,
        destination: str = "",
        *,
        cwd: str,
    ) -> str:
        """Begin to copy a file or a whole directory, "put" into the VM or "get" out of it.

        Returns the transfer's id at once.
        """
        await self._machines.find(vm)
        if direction == "put":
            return self._transfers.start(self._put(vm, host_path(source, cwd), destination or Path(source).name))
        if direction == "get":
            local = host_path(destination or posixpath.basename(source.rstrip("/")), cwd)
            return self._transfers.start(self._get(vm, source, local))
        raise BadRequest(f"startTransfer: direction must be 'put' or 'get', not {direction!r}")

    def getTransfer(self, transferId: str) -> dict:
        """How far a transfer is: state (running, done, failed, cancelled), done and total (octets), current (the file
        under way), error and faultCode."""
        return self._transfers.get(transferId).told()

    async def waitForTransfer(self, transferId: str, timeout: float) -> dict:
        """Wait until a transfer has ended, at most ``timeout`` seconds; returns what getTransfer does."""
        return (await self._transfers.wait(transferId, timeout)).told()

    def cancelTransfer(self, transferId: str) -> bool:
        """End a transfer; what stood at its destination stays as it was."""
        self._transfers.cancel(transferId)
        return True

    async def listFiles(self, vm: str, path: str = "/") -> list:
        """What lies in a directory of a VM: [{name, size, mode, mtime, directory}]."""
        host, port, key = await self._server(vm)
        return list(await transfer.list_files(self._reactor, host, port, key, path))

    def _put(self, vm: str, source: Path, destination: str) -> Callable[[Progress], Awaitable[None]]:
        async def move(progress: Progress) -> None:
            host, port, key = await self._server(vm)
            await transfer.put(self._reactor, host, port, key, source, destination, progress)

        return move

    def _get(self, vm: str, source: str, destination: Path) -> Callable[[Progress], Awaitable[None]]:
        async def move(progress: Progress) -> None:
            host, port, key = await self._server(vm)
            await transfer.get(self._reactor, host, port, key, source, destination, progress)

        return move

    async def _server(self, vm: str) -> tuple[str, int, str]:
        """Where the VM's file server is, and the key that opens it."""
        machine = await self._machines.find(vm)
        address = await self._machines.hypervisor.guestAddress(machine.id)
        guest = self._ledger.guest(machine.id)
        if address is None or guest is None:
            raise GuestSilent(f"{machine.name} is {machine.state.value} and serves no files; start it first")
        return address.host, address.chirp_port, guest.chirp_key
