"""Whose turn it is: machines that boot, and snapshots, take a computer's processors and disk, so few do it at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore

#: Seconds after which a machine that was started counts as booted, whether its agent is there or not.
BOOT_PATIENCE = 30.0


class Turns:
    """``most`` machines boot side by side, and one snapshot is taken at a time.

    ``until_there(vm, seconds)`` waits until the agent of a machine is there, for at most so many seconds.
    """

    def __init__(self, most: int, until_there: Callable[[str, float], Awaitable[bool]]) -> None:
        self._boots = DeferredSemaphore(most)
        self._snapshots = DeferredLock()
        self._until_there = until_there

    async def boot(self, vm: str, start: Callable[[], Awaitable[None]]) -> None:
        """Start it when it is its turn; its turn lasts until its agent is there."""
        await self._boots.acquire()
        try:
            await start()
        except BaseException:
            self._boots.release()
            raise
        there = Deferred.fromCoroutine(self._wait(vm))
        there.addBoth(lambda _: self._boots.release())

    async def _wait(self, vm: str) -> bool:
        return await self._until_there(vm, BOOT_PATIENCE)

    async def snapshot(self, take: Callable[[], Awaitable[None]]) -> None:
        """Take it when no other is being taken."""
        await self._snapshots.acquire()
        try:
            await take()
        finally:
            self._snapshots.release()
