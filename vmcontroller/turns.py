"""Whose turn it is: machines that boot, and snapshots, take a computer's processors and disk, so few do it at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, DeferredSemaphore

#: Seconds after which a machine that was started counts as booted, whether its agent is there or not.
BOOT_PATIENCE = 30.0


class Turns:
    """``most`` machines boot side by side, and one snapshot is taken at a time.

    ``until_there(vm, seconds)`` waits until the agent of a machine is there, for at most so many seconds.
    """

    def __init__(self, most: int, until_there: Callable[[str, float], Coroutine[Any, Any, bool]]) -> None:
        self._boots = DeferredSemaphore(most)
        self._snapshots = DeferredLock()
        self._until_there = until_there
        self._booting: dict[str, Deferred[bool]] = {}

    async def boot(self, vm: str, start: Callable[[], Awaitable[None]]) -> None:
        """Start it when it is its turn; its turn lasts until its agent is there."""
        await self._boots.acquire()
        try:
            await start()
        except BaseException:
            self._boots.release()
            raise
        self.over(vm)
        self._booting[vm] = there = Deferred.fromCoroutine(self._until_there(vm, BOOT_PATIENCE))
        there.addErrback(lambda failure: failure.trap(CancelledError)).addBoth(lambda _: self._booted(vm))

    def _booted(self, vm: str) -> None:
        del self._booting[vm]
        self._boots.release()

    def over(self, vm: str) -> None:
        """The machine runs no more: if it was still booting, it is the next one's turn."""
        if vm in self._booting:
            self._booting[vm].cancel()

    async def snapshot(self, take: Callable[[], Awaitable[None]]) -> None:
        """Take it when no other is being taken."""
        await self._snapshots.acquire()
        try:
            await take()
        finally:
            self._snapshots.release()
