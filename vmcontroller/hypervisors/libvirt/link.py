"""The connection to libvirt, and what its errors mean to a caller.

Everything here blocks; callers are in a thread. libvirt's own connection may be used from several at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from vmcontroller.errors import DiskFull, HypervisorFailed, HypervisorMissing, UnknownVM, VMControllerError

R = TypeVar("R")

_NO_DAEMON = "start libvirtd, or install it; on Debian: apt install libvirt-daemon-system"


def binding(name: str = "libvirt") -> Any:
    """libvirt's Python module; HypervisorMissing says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise HypervisorMissing(
            f"the hypervisor 'libvirt' needs the Python module {name} ({error});"
            " on Debian: apt install python3-libvirt, elsewhere: pip install 'vmcontroller[libvirt]'"
        ) from error


class Link:
    """A connection that is made again when it broke. ``uri`` is as in libvirt.open; None is libvirt's default."""

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri
        self._connection: Any = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect. HypervisorMissing when the binding is not installed, or no libvirtd answers."""
        self._alive()

    def close(self) -> None:
        """Let go; what runs goes on."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def run(self, work: Callable[[Any], R]) -> R:
        """Do something with the connection (a virConnect). Errors become sentences; see explain()."""
        connection = self._alive()
        try:
            return work(connection)
        except binding().libvirtError as error:
            raise explain(error) from error

    def _alive(self) -> Any:
        with self._lock:
            if self._connection is None or not _is_alive(self._connection):
                self._connection = connect(self._uri)
            return self._connection


def _is_alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except binding().libvirtError:
        return False


def connect(uri: str | None) -> Any:
    """A virConnect; HypervisorMissing."""
    libvirt = binding()
    # Otherwise it writes every error to stderr, too.
    libvirt.registerErrorHandler(lambda context, error: None, None)
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorMissing(f"libvirt cannot be reached: {error}; {_NO_DAEMON}") from error


def explain(error: Any) -> VMControllerError:
    """The sentence for a libvirtError."""
    if error.get_error_code() == binding().VIR_ERR_NO_DOMAIN:
        return UnknownVM("libvirt does not know the VM any more; remove it and create it again")
    if os.strerror(errno.ENOSPC) in str(error):
        return DiskFull(f"libvirt: {error}; free some room and try again")
    return HypervisorFailed(f"libvirt: {error}")
