"""Ten machines of one image come and go, two at a time, and nothing is left of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psutil

from tests.loopback.house import House, wait_for
from tests.vm.guests import awaited, make, out


def left(home: House) -> set[str]:
    """What there is, in words: files, processes, and the ports that the daemon and its VMs listen at."""
    files = {str(path) for path in home.state.rglob("*") if "cmds" not in path.parts}
    processes = set(home.processes())
    pids = [int(line.split()[0]) for line in processes]
    listening = [c for pid in pids for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN]
    return files | processes | {f"port {connection.laddr.port}" for connection in listening}


def come(home: House, image: str, *vms: str) -> None:
    """Machines are made, boot side by side, and do something, each on its own disk."""
    for vm in vms:
        make(home, vm, image)
        home.call("start", vm)
    awaited(home, *vms)
    for vm in vms:
        assert out(home, f"cat /root/whose || echo {vm} > /root/whose; sync; cat /root/whose", vm) == vm


def go(home: House, *vms: str, button: bool) -> None:
    """They are removed: while they run, or when they were switched off by their button."""
    for vm in vms:
        if button:
            home.call("shutdown", vm)
            wait_for(lambda vm=vm: home.call("getState", vm) == "PoweredOff", "it does not switch off")
        home.call("removeVM", vm)


def test_ten(home: House, image: str) -> None:
    """None sees what another one wrote; the image stays as it was."""
    before, octets = left(home), hashlib.sha256(Path(image).read_bytes()).digest()
    handles = psutil.Process(home.address.pid).num_fds()
    for number in range(0, 10, 2):
        pair = f"vm{number}", f"vm{number + 1}"
        come(home, image, *pair)
        go(home, *pair, button=number == 0)
    assert left(home) ^ before == set()
    assert hashlib.sha256(Path(image).read_bytes()).digest() == octets
    wait_for(lambda: psutil.Process(home.address.pid).num_fds() <= handles, "the daemon keeps files open")
    assert home.call("listVMs") == ["guest"]
