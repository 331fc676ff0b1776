"""Keeps VirtualBox's port of a tunnel from being bound once more, on Linux.

VirtualBox opens it on all addresses with SO_REUSEADDR, so that another user's program could open it once more on
127.0.0.1, where the frames for the guest would go from then on. A socket of ours that shares the port at first and then
no more makes the kernel refuse that. It is tied to itself as its peer, and so takes no frame from VirtualBox.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vmcontroller.errors import HypervisorFailed

LOOPBACK = "127.0.0.1"
#: The sockets of this computer, each with its port and its owner (proc(5)); IPv6's can take IPv4's datagrams, too.
_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


def guard(port: int) -> socket.socket | None:
    """Let nobody else bind a port that VirtualBox has, until the socket is closed; None where that cannot be done.

    HypervisorFailed when somebody was quicker.
    """
    if sys.platform != "linux":
        return None
    guarding = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        guarding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guarding.bind((LOOPBACK, port))
        guarding.connect((LOOPBACK, port))
        guarding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        _demand_no_stranger(port)
    except OSError as error:
        guarding.close()
        raise HypervisorFailed(f"UDP port {port}, which leads to the guest, is shared: {error.strerror}") from error
    except HypervisorFailed:
        guarding.close()
        raise
    return guarding


def _demand_no_stranger(port: int) -> None:
    lines = (line for table in _TABLES if table.exists() for line in table.read_text().splitlines()[1:])
    strangers = set(owners(lines, port)) - {0, os.getuid()}
    if strangers:
        raise HypervisorFailed(
            f"UDP port {port}, which leads to the guest, was opened by another user, too (number {min(strangers)})"
        )


def owners(lines: Iterable[str], port: int) -> Iterator[int]:
    """Who has a socket at this port, by lines of /proc/net/udp."""
    for line in lines:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            yield int(fields[7])
