"""Debian behind the closed network: Linux's TCP over the tunnel that VirtualBox's machines have (tunnelled.py)."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.house import House, house
from tests.vm.guests import awaited, counting, make, out
from tests.vm.test_qemu_guest import INTRUDER
from tests.vm.tunnelled import PORTS

MIB = 1 << 20
SIZE = 64 * MIB
ENTRY_POINT = "[vmcontroller.hypervisors]\ntunnelled = tests.vm.tunnelled:create\n"
ROOT = Path(__file__).parents[2]
#: Beside QEMU's own intruder: whatever the guest sends to its gateway or past it.
ROUTES = "ip route add default via 10.0.2.2; ip -6 route add default dev eth0; ip -6 address add fd00::15/64 dev eth0; "


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[House]:
    """A daemon with one guest, which has said HELLO."""
    plugin = tmp_path_factory.mktemp("plugin")
    (plugin / "tunnelled-1.dist-info").mkdir()
    (plugin / "tunnelled-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINT)
    (plugin / "tunnelled-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tunnelled\nVersion: 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}:{plugin}")
        patch.setenv(PORTS, "{},{}".format(*free_ports()))
        with house(tmp_path_factory.mktemp("closed"), "--hypervisor", "tunnelled") as lived:
            begun = time.monotonic()
            make(lived, "guest", image)
            lived.call("start", "guest")
            awaited(lived, "guest")
            print(f"from start to the agent: {time.monotonic() - begun:.1f} s")
            yield lived


def free_ports() -> list[int]:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


def test_address(home: House) -> None:
    """The guest has its address by DHCP, and no route but to its gateway, which answers it."""
    assert "10.0.2.15/24" in out(home, "ip -4 address show eth0")
    assert out(home, "ip route | grep -v 10.0.2.0/24; cat /etc/resolv.conf") == ""
    assert "1 packets received" in out(home, "busybox ping -c 1 10.0.2.2")


def test_files(home: House) -> None:
    """64 MiB go into the guest and come back, octet by octet."""
    source, back = home.state / "source", home.state / "back"
    source.write_bytes(os.urandom(SIZE))
    moved = {}
    for name, arguments in (
        ("put", ("cpFileToVM", "guest", str(source), "big")),
        ("get", ("cpFileFromVM", "guest", "big", str(back))),
    ):
        begun = time.monotonic()
        assert home.call(*arguments)[2] == 0
        moved[name] = SIZE / MIB / (time.monotonic() - begun)
    print(f"MiB/s: {moved}")
    assert hashlib.sha256(source.read_bytes()).digest() == hashlib.sha256(back.read_bytes()).digest()
    out(home, "rm big")


def test_isolation(home: House) -> None:
    """Nothing answers from inside, though the guest takes its gateway for the way to everywhere."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        script = INTRUDER.format(port=port)
        result = home.result(
            home.run("guest", "/bin/sh", "-c", f'{ROUTES} python3 -c "$0"; ip route del default', script)
        )
        assert (result["out"], result["exitCodeOrSignal"]) == ("", 0), result
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_save_and_restore(home: House) -> None:
    """A command survives that its machine is put away; the guest's old connections do not, and the agent is back."""
    running = counting(home, "guest", 10)
    home.call("saveState", "guest")
    begun = time.monotonic()
    home.call("start", "guest")
    awaited(home, "guest")
    print(f"from a saved state to the agent: {time.monotonic() - begun:.2f} s")
    assert home.result(running)["out"].strip() == "10"


def test_snapshot(home: House) -> None:
    """So it is with a snapshot: the guest comes back with connections that nobody has any more."""
    home.call("takeSnapshot", "guest", "before")
    out(home, "echo after > /root/when; sync")
    home.call("powerOff", "guest")
    home.call("restoreSnapshot", "guest", "before")
    begun = time.monotonic()
    home.call("start", "guest")
    awaited(home, "guest")
    print(f"from a snapshot to the agent: {time.monotonic() - begun:.2f} s")
    assert out(home, "cat /root/when || echo before") == "before"


def test_daemon_killed(home: House) -> None:
    """kill -9 of the daemon: the next one holds the tunnel, and the guest is told to forget the old connections."""
    home.kill_daemon()
    begun = time.monotonic()
    home.restart()
    awaited(home, "guest")
    print(f"from the next daemon's start to the agent: {time.monotonic() - begun:.2f} s")
    assert out(home, "echo alive") == "alive"
