"""Debian behind the closed network: Linux's TCP over the tunnel that VirtualBox's machines have (tunnelled.py)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.house import House, house
from tests.vm.guests import awaited, counting, make, out, there_and_back
from tests.vm.tunnelled import PORTS

ENTRY_POINT = "[vmcontroller.hypervisors]\ntunnelled = tests.vm.tunnelled:create\n"
ROOT = Path(__file__).parents[2]
ROUTES = (
    "ip route add default via 10.0.2.2; echo 0 > /proc/sys/net/ipv6/conf/eth0/dad_transmits;"
    " ip -6 address add fd00::15/64 dev eth0; ip -6 route add ::/0 dev eth0;"
)
NO_ROUTES = "ip route del default; ip -6 route del ::/0; ip -6 address del fd00::15/64 dev eth0"
#: Tries to reach what is around the guest, all at once, and says what answers.
INTRUDER = """
import socket
from concurrent.futures import ThreadPoolExecutor
from itertools import product
hosts = "10.0.2.2 10.0.2.3 10.0.2.255 192.0.2.1 1.1.1.1 169.254.169.254 fd00::2 fe80::2%eth0 ::ffff:10.0.2.2".split()
def call(where):
    try:
        socket.create_connection(where, timeout=2)
    except OSError:
        return
    print("reached", where)
def ask(where):
    family, kind, _, _, place = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        try:
            one.sendto(b"hello", place)
            print("heard", one.recv(100), where)
        except OSError:
            pass
places = list(product(hosts, ({port}, 22, 53, 61613)))
with ThreadPoolExecutor(2 * len(places)) as pool:
    list(pool.map(call, places))
    list(pool.map(ask, places))
try:
    print(socket.getaddrinfo("example.org", 80))
except OSError:
    pass
"""


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
    there_and_back(home, 64)


def test_isolation(home: House) -> None:
    """Nothing answers from inside, though the guest takes its gateway for the way to everywhere."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        script = INTRUDER.format(port=listener.getsockname()[1])
        result = home.result(home.run("guest", "/bin/sh", "-c", f'{ROUTES} python3 -c "$0"; {NO_ROUTES}', script))
        assert (result["out"], result["exitCodeOrSignal"]) == ("", 0), result
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_snapshot(home: House) -> None:
    """The guest comes back with connections that nobody has any more; its agent is met, its command goes on."""
    running = counting(home, "guest", 10)
    home.call("takeSnapshot", "guest", "middle")
    home.call("powerOff", "guest")
    home.call("restoreSnapshot", "guest", "middle")
    begun = time.monotonic()
    home.call("start", "guest")
    awaited(home, "guest")
    print(f"from a snapshot to the agent: {time.monotonic() - begun:.2f} s")
    assert home.result(running)["out"].strip() == "10"


def test_daemon_killed(home: House) -> None:
    """kill -9 of the daemon: the next one holds the tunnel, and the guest is told to forget the old connections."""
    home.kill_daemon()
    begun = time.monotonic()
    home.restart()
    awaited(home, "guest")
    print(f"from the next daemon's start to the agent: {time.monotonic() - begun:.2f} s")
    assert out(home, "echo alive") == "alive"
