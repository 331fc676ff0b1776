"""Files to a guest and back over Chirp, as Deferreds; the work itself is done in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

#: Called in the reactor's thread with the octets done, the octets in total and the current file's name.
Progress = Callable[[int, int, str], None]


class Entry(TypedDict):
    """What ``list_files`` says of one file."""

    name: str
    size: int
    mode: int
    mtime: int
    directory: bool


def put(
    reactor: IReactorFromThreads,
    host: str,
    port: int,
    private_key_pem: str,
    source: Path,
    destination: str,
    progress: Progress | None = None,
) -> Deferred[None]:
    """Copy a file or a whole directory into the guest."""
    raise NotImplementedError


def get(
    reactor: IReactorFromThreads,
    host: str,
    port: int,
    private_key_pem: str,
    source: str,
    destination: Path,
    progress: Progress | None = None,
) -> Deferred[None]:
    """Copy a file or a whole directory out of the guest."""
    raise NotImplementedError


def list_files(
    reactor: IReactorFromThreads, host: str, port: int, private_key_pem: str, path: str
) -> Deferred[list[Entry]]:
    """What lies in a directory of the guest."""
    raise NotImplementedError
