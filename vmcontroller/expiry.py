"""What time brings to an end: guests that have gone silent, and results that were read long ago.

It decides when; how a guest is dropped and a command forgotten is the controller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from vmcontroller.controller import Controller
from vmcontroller.errors import VMControllerError
from vmcontroller.ledger import Ledger
from vmcontroller.machine import MachineState
from vmcontroller.machines import SLEEPING, Machines

DAY = 24 * 3600.0
#: Commands that are forgotten in one round; each costs a wait for the disk.
AT_ONCE = 20


class Expiry:
    """Goes round every few seconds. With ``keep_days`` 0 results are kept until somebody forgets them."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        ledger: Ledger,
        controller: Controller,
        machines: Machines,
        keep_days: int,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._ledger = ledger
        self._controller = controller
        self._machines = machines
        self._keep_days = keep_days
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.go_round()))
        self._loop.clock = clock
        self._ended: Deferred[Any] | None = None

    def start(self, interval: float) -> None:
        """Go round every ``interval`` seconds from now on."""
        self._ended = self._loop.start(interval, now=False)

    async def stop(self) -> None:
        """Nothing is brought to an end any more; the round that is under way is waited for."""
        if self._loop.running:
            self._loop.stop()
        if self._ended is not None:
            await self._ended

    async def go_round(self) -> None:
        """Once. What fails is logged, and tried again in the next round."""
        try:
            self._forget_old_results()
            await self._notice_silence()
        except VMControllerError as error:
            self.log.warn("{error}", error=error)
        except Exception:
            self.log.failure("what should have come to an end has not")

    # -- results

    def _forget_old_results(self) -> None:
        if self._keep_days:
            for cmd_id in self._ledger.read_before(self._wall() - self._keep_days * DAY, AT_ONCE):
                self._controller.forget(cmd_id)

    # -- guests

    async def _notice_silence(self) -> None:
        """Warn of guests that should speak and do not; drop those that stay silent. One that is paused may."""
        guests = self._controller.guests
        if not guests.any_late(self._clock.seconds()):
            return
        states = {machine.id: machine.state for machine in await self._machines.all()}
        warn, drop = guests.silent(self._clock.seconds())
        for vm in warn:
            if states.get(vm) not in SLEEPING:
                self.log.warn("{vm} has been silent for {grace} s", vm=vm, grace=guests.grace)
        for vm in drop:
            if vm in states:
                self._drop(vm, states[vm])
            else:
                self._machines.gone(vm)

    def _drop(self, vm: str, state: MachineState) -> None:
        if state in SLEEPING:
            self.log.info("{vm} is {state}; its guest joins anew when it goes on", vm=vm, state=state)
        else:
            self.log.warn("{vm} is dropped, it has been silent for too long", vm=vm)
        self._controller.stopped(vm)
