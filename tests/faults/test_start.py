"""A daemon that cannot start says why in one sentence, with the way out, and leaves nothing half started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.loopback.house import DEADLINE, House, house
from tests.loopback.operator import Operator, shell
from vmcontroller import client
from vmcontroller.client import ApiFault
from vmcontroller.errors import DiskFull, StateDirectoryUnusable, VMControllerError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")


def refused(state: Path, *arguments: str) -> VMControllerError:
    """What keeps a daemon from starting."""
    with pytest.raises(VMControllerError) as caught:
        client.start(state, arguments)
    assert "\n" not in str(caught.value)
    assert client.find(state) is None
    return caught.value


@pytest.mark.parametrize("setting", ["xmlrpc.port", "broker.port"])
def test_port_is_taken(setting: str, tmp_path: Path) -> None:
    """The sentence names the port and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused(tmp_path / "state", "--set", f"{setting}={port}")
    assert str(port) in str(error)
    assert setting in str(error)
    assert isinstance(error, ApiFault)
    assert error.code == 903
    with house(tmp_path / "state"):  # and the next start finds nothing in its way
        pass


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--hypervisor", "nonsense"), 502, "nonsense"),
        (("--set", "nonsense=1"), 905, "nonsense"),
        (("--set", "xmlrpc.port=many"), 905, "xmlrpc.port"),
        (("--set", "log_level=loud"), 905, "log_level"),
        (("--config", "/no/such/file.toml"), 905, "/no/such/file.toml"),
        (("--set", "broker.url=tcp:nonsense"), 905, "broker.url"),
    ],
)
def test_bad_settings(arguments: tuple[str, ...], code: int, text: str, tmp_path: Path) -> None:
    """What is wrong with a setting is told, with its name."""
    error = refused(tmp_path / "state", *arguments)
    assert text in str(error)
    assert getattr(error, "code", None) == code


def test_state_directory_is_a_file(tmp_path: Path) -> None:
    """A path that can be no directory."""
    (tmp_path / "state").write_text("")
    assert "--state-dir" in str(refused(tmp_path / "state"))


def test_ledger_is_garbage(tmp_path: Path) -> None:
    """A ledger that is none is left alone."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(b"garbage" * 1000)
    assert "move it away" in str(refused(state))
    assert (state / "ledger.sqlite").read_bytes() == b"garbage" * 1000


def test_second_start_finds_the_first(tmp_path: Path) -> None:
    """Two starts at once give one daemon, and both callers its address."""
    with house(tmp_path / "state") as home:
        assert client.start(tmp_path / "state") == home.address
        command = [sys.executable, "-m", "vmcontroller", "daemon", "--state-dir", str(tmp_path / "state")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert second.returncode != 0
        assert "owns" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1


def test_no_home_directory(tmp_path: Path) -> None:
    """Without HOME and without a state directory there is a sentence, not a traceback."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("HOME", "XDG", "VMCONTROLLER"))
    }
    environment["HOME"] = str(tmp_path / "nowhere" / "file")
    (tmp_path / "nowhere").write_text("")
    command = [sys.executable, "-m", "vmcontroller", "daemon"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ran.returncode != 0
    assert "--state-dir" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Something mounted on a directory, where the machine lets us, and gone afterwards."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("to mount a disk of its own this test needs root and the Debian package mount")
    ran = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a disk: {ran.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        yield place


def fill(disk: Path, left: int) -> Path:
    """Leave so many octets of a disk; the file that takes the rest."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(disk).free - left))
    return ballast


def told_in_the_foreground(state: Path) -> str:
    """The one sentence that a daemon says which cannot start."""
    command = [sys.executable, "-m", "vmcontroller", "daemon", "--state-dir", str(state)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ran.returncode != 0
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"vmcontroller: {state}")
    return line


@pytest.mark.parametrize("left", [0, 16 * 1024, 64 * 1024])
def test_starts_on_a_full_disk(left: int, small_disk: Path) -> None:
    """A daemon that has no room says that, leaves nothing half made, and starts when there is room."""
    state = small_disk / "state"
    state.mkdir()
    ballast = fill(small_disk, left)
    line = told_in_the_foreground(state)
    assert "no room is left" in line
    assert "--state-dir" in line
    assert [path.name for path in state.iterdir()] == ["lock"]
    assert getattr(refused(state), "code", None) == DiskFull.code
    ballast.unlink()
    with house(state):
        pass


def test_starts_again_on_a_full_disk(small_disk: Path) -> None:
    """The same where a ledger was before: it is left as it was."""
    state = small_disk / "state"
    with house(state, "--set", "min_free_disk=0") as home:
        home.call("runCmd", home.vm("alpha"), "true")
    before = (state / "ledger.sqlite").read_bytes()
    fill(small_disk, 0)
    assert "no room is left" in told_in_the_foreground(state)
    assert (state / "ledger.sqlite").read_bytes() == before


def test_read_only_disk(tmp_path: Path) -> None:
    """A state directory that cannot be written is named, whether a daemon has been there before or not."""
    for state in (tmp_path / "new", tmp_path / "old"):
        state.mkdir()
    with house(tmp_path / "old"):
        pass
    for state in (tmp_path / "new", tmp_path / "old"):
        before = sorted(state.iterdir())
        with mounted(state, "--bind", "-o", "ro", str(state)):
            assert "Read-only file system; name a directory" in told_in_the_foreground(state)
            assert isinstance(refused(state), StateDirectoryUnusable)
        assert sorted(state.iterdir()) == before


@pytest.mark.parametrize(
    "arguments", [("--hypervisor", "nonsense"), ("--set", "broker.url=tcp:nonsense"), ("--set", "broker.port=PORT")]
)
def test_refused_start_leaves_no_ledger(arguments: tuple[str, str], tmp_path: Path) -> None:
    """Whatever keeps a first daemon from starting, it leaves no ledger that would look like one of a daemon."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        option, value = arguments
        refused(tmp_path, option, value.replace("PORT", str(taken.getsockname()[1])))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "vms") == ["daemon.log", "lock"]


def test_disk_is_full(small_disk: Path) -> None:
    """While the disk is full output waits in the guest; when there is room it arrives whole."""
    state = small_disk / "state"
    with house(state, "--set", "min_free_disk=0") as home:
        home.vm("alpha")
        ballast = fill(small_disk, 1_500_000)
        cmd_id = home.run("alpha", "/bin/sh", "-c", "yes | head -c 900000")
        assert not home.call("waitForCmd", cmd_id, 1.5)["finished"]
        assert home.call("getInfo")["vms"] == 1
        ballast.unlink()
        assert len(home.result(cmd_id)["out"]) == 900_000


def test_no_room_for_the_output(small_disk: Path) -> None:
    """Who waits for it is told why it does not end; when there is room it goes on."""
    state = small_disk / "state"
    with house(state, "--set", "min_free_disk=1000000") as home:
        home.vm("alpha")
        script = "echo begun; while [ ! -e go ]; do sleep 0.05; done; head -c 500000 /dev/zero; exit 3"
        operator = Operator(state)
        with operator.begin("run", "--timeout", "40", "alpha", *shell(script), stdin=subprocess.DEVNULL) as run:
            assert run.stdout
            assert run.stderr
            assert run.stdout.readline() == b"begun\n"
            ballast = fill(small_disk, 1_100_000)
            home.shell("alpha", "touch go")
            assert run.stderr.readline().startswith(b"vmcontroller: alpha: no room for the output: free some space")
            (cmd,) = home.call("listCmds", {"finished": False})
            assert cmd["parts"]["alpha"]["reason"].startswith("no room for the output")
            ballast.unlink()
            assert len(run.stdout.read()) == 500_000
            assert run.wait(DEADLINE) == 3


def test_no_room_for_any_output(small_disk: Path) -> None:
    """A command is refused before anything happens."""
    with house(small_disk / "state") as home:
        vm = home.vm("alpha")
        with pytest.raises(ApiFault, match="min_free_disk") as refusal:
            home.run(vm, "true")
        assert (refusal.value.code, home.call("listCmds")) == (DiskFull.code, [])


def test_stop_on_a_full_disk(small_disk: Path) -> None:
    """A VM that cannot be saved is named, and the daemon goes on; when there is room it stops."""
    state = small_disk / "state"
    with house(state, "--set", "min_free_disk=0") as home:
        home.vm("alpha")
        ballast = fill(small_disk, 0)
        refused = Operator(state).here("stop-daemon")
        assert (refused.code, refused.out) == (1, b"")
        assert refused.err.startswith("vmcontroller: the daemon goes on, as it could not save alpha: ")
        assert home.call("getInfo")["vms"] == 1
        ballast.unlink()
        assert Operator(state).here("stop-daemon").code == 0
        home.restart()


def test_quiet_life(tmp_path: Path) -> None:
    """A daemon that comes and goes in order, with a VM, has nothing to warn of and does not tell of its factories."""
    with house(tmp_path / "state") as home:
        home.vm("alpha")
    log = (tmp_path / "state" / "daemon.log").read_text()
    assert "joined" in log
    assert [line for line in log.splitlines() if "#warn" in line or "#error" in line or "factory" in line] == []


def test_house_leaves_nothing(tmp_path: Path) -> None:
    """After a stop no process, port file or VM is left."""
    state = tmp_path / "state"
    home = House(state)
    home.vm("alpha")
    home.close()
    assert sorted(path.name for path in state.iterdir() if path.name != "vms") == [
        "daemon.log",
        "ledger.sqlite",
        "lock",
    ]
    assert list((state / "vms").glob("*")) == []
