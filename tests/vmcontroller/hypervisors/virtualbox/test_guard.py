"""The port that VirtualBox shares with everybody, and what keeps it to itself."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.users import plain_user
from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.virtualbox.guard import guard, owners

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone shares ports in this way")


def shared(host: str, port: int, family: int = socket.AF_INET) -> socket.socket:
    """A port that is opened as VirtualBox does it."""
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.settimeout(10)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


@pytest.fixture
def virtualbox() -> Iterator[socket.socket]:
    """VirtualBox's end of a tunnel."""
    with shared("", 0) as opened:
        yield opened


@pytest.fixture
def port(virtualbox: socket.socket) -> int:
    return int(virtualbox.getsockname()[1])


def test_virtualbox_goes_on(virtualbox: socket.socket, port: int) -> None:
    """What is sent to it arrives, and not at the guard."""
    guarding = guard(port)
    assert guarding
    with guarding, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.sendto(b"a frame", ("127.0.0.1", port))
        assert virtualbox.recv(100) == b"a frame"


@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::"),
        (socket.AF_INET6, "::ffff:127.0.0.1"),
    ],
)
def test_nobody_else(virtualbox: socket.socket, port: int, family: int, host: str) -> None:
    """The port is not shared any more, but with whom had it before; afterwards it is again."""
    guarding = guard(port)
    assert guarding
    with guarding, pytest.raises(OSError, match="in use"):
        shared(host, port, family)
    shared(host, port, family).close()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be another user as well")
def test_somebody_was_quicker(virtualbox: socket.socket, port: int) -> None:
    """Another user's program that had opened it already is told."""
    with plain_user():
        thief = shared("127.0.0.1", port)
    with thief, pytest.raises(HypervisorFailed, match=f"UDP port {port}, .* by another user"):
        guard(port)


def test_owners() -> None:
    """Of lines of IPv4 and IPv6, those at the port."""
    lines = [
        " 3462: 00000000:939B 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 14003205 2 0 0",
        " 4531: 0100007F:97C8 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 14003204 2 0 0",
        "  431: 00000000000000000000000000000000:939B 00000000000000000000000000000000:0000 07 00000000:00000000"
        " 00:00000000 00000000  1002        0 1 2 0 0",
    ]
    assert list(owners(lines, 0x939B)) == [1000, 1002]
