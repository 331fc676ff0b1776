"""A command's whole way and back, beside the bare spawn of the same program and beside ssh with a kept connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.table import Row
from tests.loopback.house import House, house

COUNT = 500
PROGRAM = "/bin/true"


def run() -> list[Row]:
    """p50 and p99 of /bin/true: XML-RPC, daemon, broker, agent, program, and back."""
    with tempfile.TemporaryDirectory() as directory, house(Path(directory) / "state") as home:
        home.vm("alpha")
        ours = timed(lambda: command(home))
        spawn = timed(bare_spawn)
        with ssh(Path(directory)) as remote:
            peer = timed(remote, COUNT // 5) if remote else None
    rows = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        mine, floor = quantile(ours, share), quantile(spawn, share)
        target = f"at most 5 times the bare spawn ({name})"
        rows.append(Row(f"round trip {name}", "ms", mine, "posix_spawn", floor, target, mine <= 5 * floor))
        if peer:
            other = quantile(peer, share)
            rows.append(Row(f"round trip {name}", "ms", mine, "ssh, kept connection", other, "below ssh", mine < other))
        else:
            rows.append(Row(f"round trip {name}", "ms", mine, "ssh: install openssh-server", None, "below ssh"))
    return rows


def command(home: House) -> None:
    """One command from asking to having its result."""
    cmd_id = home.run("alpha", PROGRAM)
    assert home.call("getCmdResults", cmd_id, "", 10.0)["exitCodeOrSignal"] == 0


def bare_spawn() -> None:
    """The floor: the same program, started and waited for, and nothing else."""
    pid = os.posix_spawn(PROGRAM, [PROGRAM], os.environ)
    os.waitpid(pid, 0)


def timed(action: Callable[[], object], count: int = COUNT) -> list[float]:
    """Milliseconds of each of ``count`` runs, after a tenth of them to warm up."""
    for _ in range(count // 10):
        action()
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1000)
    return sorted(taken)


def quantile(taken: list[float], share: float) -> float:
    """The value below which ``share`` of the sorted values lie."""
    return taken[min(len(taken) - 1, int(share * len(taken)))]


@contextmanager
def ssh(directory: Path) -> Iterator[Callable[[], object] | None]:
    """A private sshd on loopback, a key of its own, and one connection that every command shares."""
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if sshd is None or shutil.which("ssh") is None:
        yield None
        return
    key, port = directory / "key", free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (directory / "authorized").write_text((directory / "key.pub").read_text())
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": str(key),
        "AuthorizedKeysFile": str(directory / "authorized"),
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    (directory / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    os.makedirs("/run/sshd", exist_ok=True) if os.geteuid() == 0 else None
    server = subprocess.Popen([sshd, "-D", "-f", str(directory / "sshd_config")], stderr=subprocess.DEVNULL)
    socket = str(directory / "ssh.sock")
    common = ["ssh", "-F", "none", "-S", socket, "-p", str(port), "-i", str(key), "-o", "StrictHostKeyChecking=no"]
    common += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "127.0.0.1"]
    try:
        subprocess.run([*common[:1], "-M", "-N", "-f", "-o", "ConnectionAttempts=50", *common[1:]], check=True)
        yield lambda: subprocess.run([*common, PROGRAM], check=True)
        subprocess.run([*common[:1], "-O", "exit", *common[1:]], check=False, stderr=subprocess.DEVNULL)
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """A port of loopback that nobody uses at this moment."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
