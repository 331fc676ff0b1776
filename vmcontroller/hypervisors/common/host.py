"""What a plugin has of the host that it runs on: the reactor, its threads, the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool

P = ParamSpec("P")
R = TypeVar("R")


class IPluginReactor(IReactorTime, IReactorFDSet, IReactorThreads):
    """What most plugins need of the reactor."""


@dataclass(frozen=True)
class Host:
    """What all machines of a plugin share. ``wall`` gives seconds since the epoch."""

    reactor: IPluginReactor
    wall: Callable[[], float] = time.time

    def in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Deferred[R]:
        """Do what blocks elsewhere."""
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), work, *args, **kwargs)
