"""Work that waits, done in a thread of its own instead of the reactor's small pool, which others need meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

T = TypeVar("T")


def in_a_thread(reactor: IReactorFromThreads, work: Callable[[], T], abort: Callable[[], None]) -> Deferred[T]:
    """Call ``work`` in a new thread; fires with what it returns or raises. A process that ends does not wait for it.

    ``abort`` makes ``work`` give up. Cancelling calls it, and fires with CancelledError when ``work`` has ended.
    """
    ended: Deferred[T] = Deferred()

    def run() -> None:
        try:
            outcome: T | Failure = work()
        except BaseException:
            outcome = Failure()
        reactor.callFromThread(ended.callback, outcome)

    threading.Thread(target=run, daemon=True).start()
    return Deferred.fromCoroutine(_until(ended, abort))


async def _until(ended: Deferred[T], abort: Callable[[], None]) -> T:
    watching: Deferred[T] = Deferred()
    gone = ended.addBoth(watching.callback)
    try:
        return await watching
    except CancelledError:
        abort()
        await gone
        raise
