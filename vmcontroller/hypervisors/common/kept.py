"""What machines of every plugin have in common: a directory, the record in it, a turn for verbs, and how they are left.

What a machine is made of, and how it obeys, is no business of this file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from vmcontroller.errors import VMControllerError
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.record import Home, Record
from vmcontroller.machine import MachineState

OFF = (MachineState.POWERED_OFF, MachineState.SAVED, MachineState.ABORTED)
ON = (MachineState.RUNNING, MachineState.PAUSED)

H = TypeVar("H", bound=Home)
R = TypeVar("R", bound=Record)


class KeptMachine(Generic[H, R]):
    """A machine as it stands in its record. ``meanwhile`` is what others see while a verb is under way, if not that."""

    log = Logger()

    def __init__(self, host: Host, home: H, record: R) -> None:
        self.record = record
        self.home = home
        self.lock = DeferredLock()
        self.meanwhile: MachineState | None = None
        self.removed = False
        self._host = host

    @property
    def state(self) -> MachineState:
        """The state that others see."""
        return self.meanwhile or self.record.state

    async def note(self, **changes: Any) -> None:
        """Change the record; it is on the disk then."""
        record = replace(self.record, **changes)
        await self._host.in_thread(self.home.save, record)
        self.record = record

    async def _discard(self) -> None:
        """Remove the directory with all that is in it."""
        try:
            await self._host.in_thread(files.discard, self.home.path, self.record.owner)
        finally:
            self.removed = not self.home.path.exists()

    async def _put_away(self, save: Callable[[], Awaitable[Any]], stop: Callable[[], Awaitable[Any]]) -> None:
        """Let nothing run on: what cannot be saved is switched off."""
        try:
            if self.record.state in ON:
                await save()
        except VMControllerError as error:
            self.log.warn("{vm} is switched off, it cannot be saved: {error}", vm=self.record.id, error=error)
        if self.record.state in (*ON, MachineState.STUCK):
            await stop()
