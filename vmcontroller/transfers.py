"""Transfers under way: started, watched, waited for, cancelled. How octets move is no business of this file."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from vmcontroller.errors import UnknownTransfer, VMControllerError
from vmcontroller.waiters import Waiters

#: Called with the octets done, the octets in total, and the name of the file under way.
Progress = Callable[[int, int, str], None]
#: Ended transfers that can still be asked for.
REMEMBERED = 200


@dataclass
class Transfer:
    """One transfer. ``state`` is running, done, failed or cancelled; ``done`` and ``total`` are in octets."""

    state: str = "running"
    done: int = 0
    total: int = 0
    current: str = ""
    error: str = ""
    fault_code: int = 0
    work: Deferred[None] | None = field(default=None, repr=False)

    def told(self) -> dict[str, Any]:
        """As callers see it."""
        told = {name: getattr(self, name) for name in ("state", "done", "total", "current", "error")}
        return {**told, "faultCode": self.fault_code}


class Transfers:
    """All transfers of a daemon, by their ids."""

    log = Logger()

    def __init__(self, waiters: Waiters) -> None:
        self._waiters = waiters
        self._transfers: OrderedDict[str, Transfer] = OrderedDict()

    def start(self, move: Callable[[Progress], Awaitable[None]]) -> str:
        """Begin; ``move`` does it and tells its progress. Returns the transfer's id."""
        transfer_id = str(uuid.uuid4())
        transfer = self._transfers[transfer_id] = Transfer()
        self._forget_oldest()

        def progress(done: int, total: int, current: str) -> None:
            transfer.done, transfer.total, transfer.current = done, total, current

        transfer.work = ensureDeferred(self._run(transfer_id, transfer, move(progress)))
        return transfer_id

    def _forget_oldest(self) -> None:
        ended = [key for key, transfer in self._transfers.items() if transfer.state != "running"]
        for key in ended[: max(0, len(self._transfers) - REMEMBERED)]:
            del self._transfers[key]

    async def _run(self, transfer_id: str, transfer: Transfer, moving: Awaitable[None]) -> None:
        try:
            await moving
            transfer.state = "done"
        except CancelledError:
            transfer.state, transfer.error = "cancelled", "it was cancelled"
        except VMControllerError as error:
            transfer.state, transfer.error, transfer.fault_code = "failed", str(error), error.code
        except Exception:
            self.log.failure("a transfer failed in a way that nobody foresaw")
            text = "it failed in a way that nobody foresaw; daemon.log in the state directory has the details"
            transfer.state, transfer.error, transfer.fault_code = "failed", text, VMControllerError.code
        finally:
            transfer.work = None
            self._waiters.notify(("transfer", transfer_id))

    def get(self, transfer_id: str) -> Transfer:
        """The transfer of this id; UnknownTransfer."""
        transfer = self._transfers.get(transfer_id)
        if transfer is None:
            raise UnknownTransfer(f"there is no transfer {transfer_id!r}; ended ones are forgotten after a while")
        return transfer

    async def wait(self, transfer_id: str, timeout: float) -> Transfer:
        """Wait until it has ended, at most ``timeout`` seconds."""
        transfer = self.get(transfer_id)
        await self._waiters.until(("transfer", transfer_id), lambda: transfer.state != "running", timeout)
        return transfer

    def cancel(self, transfer_id: str) -> None:
        """End it; nothing half done stays on either side."""
        work = self.get(transfer_id).work
        if work is not None:
            work.cancel()

    async def cancel_all(self) -> None:
        """The daemon stops: returns when every transfer has ended and what was half done is removed."""
        running = [transfer.work for transfer in self._transfers.values() if transfer.work is not None]
        for work in running:
            work.cancel()
        for work in running:
            await work
