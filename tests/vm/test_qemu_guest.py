"""Debian in QEMU under the whole daemon: commands, files, pauses, saved states, snapshots, kills, and its isolation."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import psutil

from tests.loopback.house import House, wait_for
from tests.vm.guests import awaited, clock_is_right, counting, out, qemu, there_and_back

#: Tries to reach what is around the guest, and says what answers.
INTRUDER = """
import socket
for place in "10.0.2.2:{port} 10.0.2.2:22 10.0.2.3:53 10.0.2.4:445 192.0.2.1:80 1.1.1.1:53 169.254.169.254:80".split():
    host, port = place.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=3)
        print("reached", place)
    except OSError:
        pass
try:
    print(socket.getaddrinfo("example.org", 80))
except OSError:
    pass
"""


def test_command(home: House) -> None:
    """A command runs in Debian, and its output comes back."""
    assert "Linux" in out(home, "uname -a")


def test_files(home: House) -> None:
    """256 MiB go into the guest and come back, octet by octet."""
    there_and_back(home, 256)


def test_isolation(home: House) -> None:
    """Nothing answers from inside: no port of the host's loopback, no address beyond, no name."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = INTRUDER.format(port=port)
        result = home.result(home.run("guest", "python3", "-c", script))
    assert (result["out"], result["exitCodeOrSignal"]) == ("", 0), result


def test_strangers(home: House) -> None:
    """Who does not know the secret gets nothing out of the guest's two ports."""
    door, chirp = (connection.laddr.port for connection in sorted_listeners(home))
    for port, said in (
        (door, b"CONNECT\n\n\0"),
        (door, b"x" * 4096),
        (chirp, b"version 3\nwhoami 100\n"),
        (chirp, b"x" * 4096),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.sendall(said + b"\n" * 16)
            stranger.settimeout(5)
            heard = b""
            try:
                while data := stranger.recv(4096):
                    heard += data
            except OSError:
                pass
        assert b"CONNECTED" not in heard
        assert len(heard) < 400, heard
    assert out(home, "echo alive") == "alive"


def sorted_listeners(home: House) -> list[psutil._common.pconn]:
    found = [c for c in qemu(home).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in found} == {"127.0.0.1"}
    assert len(found) == 2
    return found


def test_pause(home: House) -> None:
    """A command goes on after ten seconds in which its machine stood still; then the guest's clock is right."""
    running = counting(home, "guest", 10)
    home.call("pause", "guest")
    time.sleep(10)
    home.call("resume", "guest")
    wait_for(lambda: clock_is_right(home), "the guest's clock is wrong")
    assert home.result(running)["out"].strip() == "10"


def test_save_and_restore(home: House) -> None:
    """A command survives that its machine is put away, and one is taken meanwhile; the clock is right afterwards."""
    running = counting(home, "guest", 15)
    home.call("saveState", "guest")
    assert home.call("getState", "guest") == "Saved"
    asked = home.run("guest", "echo", "asked")
    begun = time.monotonic()
    home.call("start", "guest")
    awaited(home, "guest")
    print(f"from a saved state to the agent: {time.monotonic() - begun:.2f} s")
    assert home.result(asked)["out"] == "asked\n"
    assert home.result(running)["out"].strip() == "15"
    wait_for(lambda: clock_is_right(home), "the guest's clock is wrong")


def test_snapshot_of_a_running_command(home: House) -> None:
    """A command that ran when a snapshot was taken ends right, once, after the machine was brought back to it."""
    running = counting(home, "guest", 20)
    home.call("takeSnapshot", "guest", "middle")
    manifest = next((home.state / "qemu").glob("*/snapshots/*/manifest.json")).read_text()
    print(f"the guest stood still for {json.loads(manifest)['pause']:.3f} s")
    home.call("powerOff", "guest")
    home.call("restoreSnapshot", "guest", "middle")
    assert home.call("getState", "guest") == "Saved"
    home.call("start", "guest")
    awaited(home, "guest")
    assert home.result(running)["out"].strip() == "20"
    home.call("deleteSnapshot", "guest", "middle")
    assert out(home, "echo alive") == "alive"


def test_qemu_killed(home: House) -> None:
    """kill -9 of QEMU: the machine is Aborted and starts again; what ran is lost, what it never received runs."""
    running = home.run("guest", "/bin/sh", "-c", "echo begun; exec sleep 1000")
    wait_for(lambda: home.call("getCmdOutput", running, "out", 0, 5), "it does not begin")
    home.call("pause", "guest")
    unsent = home.run("guest", "echo", "received")
    os.kill(qemu(home).pid, signal.SIGKILL)
    wait_for(lambda: home.call("getState", "guest") == "Aborted", "its end is not noticed")
    home.call("start", "guest")
    awaited(home, "guest")
    assert home.result(running)["outcome"] == "lost"
    assert home.result(unsent)["out"] == "received\n"


def test_agent_killed(home: House) -> None:
    """kill -9 of the agent in the guest: it comes back by itself, and what it ran is lost."""
    killer = home.run("guest", "/bin/sh", "-c", "kill -9 $PPID; sleep 1000")
    assert home.result(killer)["outcome"] == "lost"
    assert out(home, "echo alive") == "alive"
