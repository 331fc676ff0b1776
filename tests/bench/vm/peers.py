"""The peers in the guest: qemu-guest-agent at a serial port, sshd behind a forward; both run as commands of ours."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench_roundtrip import free_port
from tests.bench.vm.place import MONITOR, SERIAL, VM, Place
from tests.bench.vm.talk import Talk, monitor
from tests.loopback.house import House, wait_for

_PIECE = 1 << 20
#: Its port is there once the guest has loaded the driver.
_AGENT = "until ls /dev/vport*p1; do sleep 0.1; done; exec qemu-ga -p /dev/vport*p1 -t /run -f /run/qga.pid"
_SSHD = (
    "exec /usr/sbin/sshd -D -e -f /dev/null -h /run/host-key -o UsePAM=no -o StrictModes=no"
    " -o 'Subsystem=sftp /usr/lib/openssh/sftp-server'"
)


class GuestAgent:
    """qemu-guest-agent."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._command = place.home.run(VM, "/bin/sh", "-c", _AGENT)
        self._talk = Talk(folder / SERIAL)
        self._talk.execute("guest-sync", id=1)

    def command(self, poll: float) -> None:
        """Run /bin/true, and ask until it has ended; ``poll`` is how many seconds to wait between two questions."""
        pid = self._talk.execute("guest-exec", path="/bin/true", capture_output=True)["pid"]
        while not self._talk.execute("guest-exec-status", pid=pid)["exited"]:
            time.sleep(poll)

    def read(self, path: str) -> int:
        """Read a file to its end; how many octets it has."""
        handle, octets, end = self._talk.execute("guest-file-open", path=path, mode="r"), 0, False
        while not end:
            piece = self._talk.execute("guest-file-read", handle=handle, count=_PIECE)
            octets += len(base64.b64decode(piece["buf-b64"]))
            end = piece["eof"]
        self._talk.execute("guest-file-close", handle=handle)
        return octets

    def close(self) -> None:
        """Hang up; the agent goes with its guest."""
        self._talk.close()


class Ssh:
    """ssh and scp over one connection, which is kept."""

    def __init__(self, directory: Path, port: int) -> None:
        self._port = str(port)
        key, path = directory / "key", directory / "ssh.sock"
        self._options = ["-F", "none", "-i", str(key), "-o", f"ControlPath={path}", "-o", "StrictHostKeyChecking=no"]
        self._options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]

    def connect(self) -> None:
        """Make the connection."""
        self._ssh("-M", "-N", "-f", "-o", "ConnectionAttempts=60")

    def command(self) -> None:
        """Run /bin/true."""
        self._ssh("/bin/true")

    def disconnect(self) -> None:
        """End the connection."""
        self._ssh("-O", "exit")

    def _ssh(self, *words: str) -> None:
        options, command = (words, ()) if words[0].startswith("-") else ((), words)
        line = ["ssh", *self._options, "-p", self._port, *options, "root@127.0.0.1", *command]
        subprocess.run(line, check=True, stderr=subprocess.DEVNULL)

    def put(self, source: Path, target: str) -> None:
        """Copy a file into the guest."""
        self._scp(str(source), f"root@127.0.0.1:{target}")

    def get(self, source: str, target: Path) -> None:
        """Copy a file out of it."""
        self._scp(f"root@127.0.0.1:{source}", str(target))

    def _scp(self, source: str, target: str) -> None:
        subprocess.run(["scp", "-q", *self._options, "-P", self._port, source, target], check=True)


@contextmanager
def guest_agent(place: Place, folder: Path) -> Iterator[GuestAgent]:
    """qemu-guest-agent in the guest."""
    agent = GuestAgent(place, folder)
    yield agent
    agent.close()


@contextmanager
def ssh(place: Place, folder: Path) -> Iterator[Ssh]:
    """sshd in the guest with a key for us, a forward to it, and the connection."""
    keys = place.scratch / "ssh"
    keys.mkdir(exist_ok=True)
    if not (keys / "key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "key")], check=True)
    _serve(place.home, (keys / "key.pub").read_text().strip())
    port = free_port()
    talk = monitor(folder / MONITOR)
    talk.execute("human-monitor-command", command_line=f"hostfwd_add net tcp:127.0.0.1:{port}-:22")
    talk.close()
    remote = Ssh(keys, port)
    remote.connect()
    try:
        yield remote
    finally:
        remote.disconnect()


def _serve(home: House, key: str) -> None:
    prepare = "mkdir -p /run/sshd /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /run/host-key"
    home.shell(VM, f"{prepare} && echo '{key}' > /root/.ssh/authorized_keys")
    server = home.run(VM, "/bin/sh", "-c", _SSHD)
    wait_for(lambda: "listening" in str(home.call("getCmdOutput", server, "err", 0, 1000)), "sshd does not listen")
