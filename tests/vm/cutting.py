"""Cuts a TCP connection of another process, as a broken network does: both ends see that it was reset."""

from __future__ import annotations

import ctypes
import os
import socket
import struct

import psutil

#: pidfd_getfd(2), by its number, which is the same on every architecture.
_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)


def connections(client: psutil.Process, server: psutil.Process) -> list[psutil._common.pconn]:
    """Those of one process to the ports at which another one listens."""
    ports = {c.laddr.port for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    made = (c for c in client.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED)
    return [c for c in made if c.raddr.port in ports]


def cut(client: psutil.Process, server: psutil.Process) -> int:
    """Cut all connections from one process to another; how many there were. OSError: we may not do that."""
    found = connections(client, server)
    for connection in found:
        _reset(client.pid, connection.fd)
    return len(found)


def _reset(pid: int, number: int) -> None:
    process = os.pidfd_open(pid)
    try:
        handle = _libc.syscall(_PIDFD_GETFD, process, number, 0)
        if handle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        with socket.socket(fileno=handle) as connection:
            # To connect to no address dissolves a connection at once, with a reset to the other end (connect(2)).
            nowhere = struct.pack("H14x", socket.AF_UNSPEC)
            if _libc.connect(connection.fileno(), nowhere, len(nowhere)) < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
