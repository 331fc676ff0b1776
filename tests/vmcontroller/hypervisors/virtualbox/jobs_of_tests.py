"""Jobs for a worker in another process, which has to find them by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def own_process(link: Any) -> int:
    """Which process does it."""
    return os.getpid()


def slow(link: Any, path: Path) -> Iterator[Any]:
    """Waits for a file, and takes it away."""
    yield path.exists
    path.unlink()


def end_of_process(link: Any) -> None:
    """The process ends without a word."""
    os._exit(1)


class NoVirtualBox:
    """Stands where the connection would be."""

    @classmethod
    def open(cls) -> NoVirtualBox:
        return cls()

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to let go of."""


def serve_without_virtualbox(connection: Any) -> None:
    """What a process of the tests does."""
    from vmcontroller.hypervisors.virtualbox import worker

    worker.Link = NoVirtualBox  # type: ignore[misc, assignment]
    worker.serve(connection)
