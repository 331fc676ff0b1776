"""The memory of the host that domains run on as processes: one starts only where there is room. Blocks."""

from __future__ import annotations

import threading
from typing import Any

from vmcontroller.hypervisors.common import memory
from vmcontroller.hypervisors.libvirt.link import binding


class Room:
    """One for all domains of a plugin: what one has been given the next one cannot have."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def start(self, domain: Any) -> None:
        """Run a virDomain; MemoryShort before anything is taken. What strangers' domains were promised counts, too."""
        with self._lock:
            active = domain.connect().listAllDomains(binding().VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            memory.demand(_size_mb(domain), sum(map(_untouched_mb, active)))
            domain.create()


def _size_mb(domain: Any) -> int:
    _, kibibytes, *_ = domain.info()
    return int(kibibytes) // 1024


def _untouched_mb(domain: Any) -> int:
    """0 for one that has just ended."""
    try:
        return memory.untouched_mb(_size_mb(domain), domain.memoryStats().get("rss", 0) // 1024)
    except binding().libvirtError:
        return 0
