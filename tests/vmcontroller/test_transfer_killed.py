"""A transfer whose other side is killed in the middle, without any chance to clean up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fileservers import client, guest_process, guest_server, vm_key
from vmcontroller.channel import Hangup
from vmcontroller.chirp import copies
from vmcontroller.chirp.meter import Meter
from vmcontroller.errors import TransferFailed

OLD = b"old and whole"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The guest's served directory, with an old file."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "f").write_bytes(OLD)
    return tmp_path / "root"


def test_a_guest_killed_during_a_put_keeps_the_old_file(root: Path, tmp_path: Path) -> None:
    """And when its agent starts again, what was half received is removed."""
    with guest_process(root, tmp_path) as (process, port), client(port) as guest:
        guest.call("deliver", "f", 0o644, 1_000_000)
        guest.channel.say(bytes(500_000))
        guest.channel.flush()
        process.kill()
        with pytest.raises(Hangup):
            guest.channel.line()
    assert (root / "f").read_bytes() == OLD
    assert len(os.listdir(root)) == 2
    with guest_process(root, tmp_path):
        assert os.listdir(root) == ["f"]


def test_a_guest_killed_during_a_get_leaves_the_hosts_old_file(root: Path, tmp_path: Path) -> None:
    """The failure is told, and nothing else is left."""
    os.truncate(root / "f", 1 << 30)
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "f").write_bytes(OLD)
    with guest_process(root, tmp_path) as (process, port), client(port) as guest:
        meter = Meter(lambda done, total, name: process.kill())
        with pytest.raises(TransferFailed, match="untouched"):
            copies.get(guest, "f", tmp_path / "host" / "f", meter)
    assert (tmp_path / "host" / "f").read_bytes() == OLD
    assert os.listdir(tmp_path / "host") == ["f"]


PUT = """
import os, sys, signal
from pathlib import Path
from vmcontroller.chirp import copies
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.chirp.meter import Meter
guest = ChirpClient("127.0.0.1", int(sys.argv[1]), sys.stdin.read())
guest.connect()
copies.put(guest, Path(sys.argv[2]), "f", Meter(lambda *_: os.kill(os.getpid(), signal.SIGKILL)))
"""


def test_a_host_killed_during_a_put_leaves_the_guests_old_file(root: Path, tmp_path: Path) -> None:
    """The guest removes what it has of the new one."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    with guest_server(root) as port:
        command = [sys.executable, "-c", PUT, str(port), str(tmp_path / "large")]
        killed = subprocess.run(command, input=vm_key().private, text=True, check=False, timeout=60)
        assert killed.returncode == -9
    assert (root / "f").read_bytes() == OLD
    assert os.listdir(root) == ["f"]
