"""Files to a guest and back over Chirp, as Deferreds; each transfer has a connection and a thread of its own.

A transfer succeeds when every file is on the other side's disk and its checksum agrees, and not before. Cancelling the
Deferred, like losing the connection, leaves no half file on either side; the Deferred fires when that is so.

``patience`` is how many seconds the guest may be silent before the transfer is given up.

Errors: NoSuchFile, FileDenied (the path or the key), DiskFull, TransferFailed; each names the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from vmcontroller.chirp import copies
from vmcontroller.chirp.client import PATIENCE, ChirpClient
from vmcontroller.chirp.meter import Listener, Meter
from vmcontroller.chirp.sentences import about
from vmcontroller.threads import in_a_thread
from vmcontroller.wire.chirp import Stat

T = TypeVar("T")
#: Is called in the reactor's thread with the octets done, the octets in total, and the current file's name.
Progress = Listener
#: Seconds between two calls of a Progress.
PROGRESS_INTERVAL = 0.1


class Entry(TypedDict):
    """What ``list_files`` says of one file; ``mtime`` is in seconds since 1970."""

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
    patience: float = PATIENCE,
) -> Deferred[None]:
    """Copy a file, or a directory with all that is in it, into the guest.

    ``destination`` is the copy's name in the served directory. With an empty one, or one that ends in a slash, or, for
    a file, one that is a directory, the copy goes into it under its own name.
    """

    def work(client: ChirpClient, meter: Meter) -> None:
        copies.put(client, source, destination, meter)

    client = ChirpClient(host, port, private_key_pem, patience)
    return Deferred.fromCoroutine(_carry(reactor, client, work, progress))


def get(
    reactor: IReactorFromThreads,
    host: str,
    port: int,
    private_key_pem: str,
    source: str,
    destination: Path,
    progress: Progress | None = None,
    patience: float = PATIENCE,
) -> Deferred[None]:
    """Copy a file, or a directory with all that is in it, out of the guest.

    ``destination`` is the copy's name; a file whose destination is a directory goes into it under its own name.
    """

    def work(client: ChirpClient, meter: Meter) -> None:
        copies.get(client, source, destination, meter)

    client = ChirpClient(host, port, private_key_pem, patience)
    return Deferred.fromCoroutine(_carry(reactor, client, work, progress))


def list_files(
    reactor: IReactorFromThreads, host: str, port: int, private_key_pem: str, path: str, patience: float = PATIENCE
) -> Deferred[list[Entry]]:
    """What lies in a directory of the guest, by name; "" and "/" are the served directory itself."""

    def work(client: ChirpClient, _: Meter) -> list[Entry]:
        with about(path or "/"):
            return sorted((_entry(name, status) for name, status in client.list(path or "/")), key=_name)

    client = ChirpClient(host, port, private_key_pem, patience)
    return Deferred.fromCoroutine(_carry(reactor, client, work, None))


def _entry(name: str, status: Stat) -> Entry:
    return Entry(name=name, size=status.size, mode=status.mode, mtime=status.mtime, directory=status.is_directory())


def _name(entry: Entry) -> str:
    return entry["name"]


async def _carry(
    reactor: IReactorFromThreads,
    client: ChirpClient,
    work: Callable[[ChirpClient, Meter], T],
    progress: Progress | None,
) -> T:
    meter = Meter(_in_reactor(reactor, progress)) if progress else Meter()
    result = await in_a_thread(reactor, lambda: _work(client, work, meter), client.abort)
    if progress:
        progress(meter.done, meter.total, meter.name)
    return result


def _work(client: ChirpClient, work: Callable[[ChirpClient, Meter], T], meter: Meter) -> T:
    try:
        with about("the VM's file server"):
            client.connect()
        return work(client, meter)
    finally:
        client.close()


def _in_reactor(reactor: IReactorFromThreads, progress: Progress) -> Listener:
    """Pass on what a thread tells, but not every time."""
    told = 0.0

    def listener(done: int, total: int, name: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_INTERVAL:
            told = time.monotonic()
            reactor.callFromThread(progress, done, total, name)

    return listener
