"""``daemon``: what it makes of its options before it hands over."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.vmcontroller.cli.conftest import Call
from vmcontroller import client
from vmcontroller.config import Config
from vmcontroller.errors import PortTaken


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, int | None]]:
    """What the daemon was called with; here it returns at once."""
    calls: list[tuple[Config, int | None]] = []
    module: Any = ModuleType("vmcontroller.daemon")
    module.run = lambda config, ready_fd: calls.append((config, ready_fd)) or 0
    monkeypatch.setitem(sys.modules, "vmcontroller.daemon", module)
    return calls


def test_options_are_settings(call: Call, ran: list[tuple[Config, int | None]], tmp_path: Path) -> None:
    """The command line wins over the file, and the state directory is always known."""
    (tmp_path / "c.toml").write_text('hypervisor = "qemu"\nlog_level = "warn"\n[broker]\nport = 7\n')
    argv = [
        "--config",
        str(tmp_path / "c.toml"),
        "--hypervisor",
        "process",
        "--while-leased",
        "--set",
        "guests.grace=90",
    ]
    assert call("daemon", *argv, "--ready-fd", "5").code == 0
    ((config, ready_fd),) = ran
    assert (config.hypervisor, config.log_level, config.while_leased) == ("process", "warn", True)
    assert (config.broker.port, config.guests.grace, config.state_dir, ready_fd) == (7, 90.0, tmp_path, 5)


def test_a_state_directory_on_the_command_line_wins(call: Call, ran: list[tuple[Config, int | None]]) -> None:
    """A relative one counts from here."""
    assert call("daemon", "--state-dir", "x").code == 0
    assert ran[0][0].state_dir == Path.cwd() / "x"


@pytest.mark.parametrize("late", [False, True])
def test_who_waits_for_it_is_told_what_is_wrong(call: Call, ran: Any, late: bool) -> None:
    """Code and sentence go through the pipe, too, whether the settings or the daemon refused."""
    if late:
        module: Any = sys.modules["vmcontroller.daemon"]
        module.run = refuse
    reader, writer = os.pipe()
    done = call("daemon", "--ready-fd", str(writer), *([] if late else ["--set", "x=1"]))
    os.close(writer)
    with open(reader) as pipe:
        told = pipe.read()
    assert done.code == 1
    assert told.startswith("error 903 port 1 " if late else "error 905 the command line: x is no setting")
    assert done.err.split(": ", 1)[1] == told.split(" ", 2)[2]


def refuse(config: Config, ready_fd: int | None) -> int:
    raise PortTaken("port 1 is taken; choose another")


def test_in_the_background_it_gets_the_same_options(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are absolute by then, for the daemon lives in another directory."""
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(f'state_dir = "{tmp_path}/other"\n')
    started: list[tuple[Path, list[str]]] = []

    def start(home: Path, options: list[str]) -> client.Address:
        started.append((home, options))
        return client.Address("http://x:y@127.0.0.1:9/RPC2", "y", 9, 8, "d1", "0")

    monkeypatch.setattr(client, "start", start)
    monkeypatch.delenv("VMCONTROLLER_STATE_DIR")
    done = call("daemon", "--background", "--config", "c.toml", "--hypervisor", "qemu", "--set", "log_level=debug")
    assert done.out == f"the daemon d1 (pid 8) serves port 9 for {tmp_path}/other\n"
    options = ["--set=log_level=debug", "--config", str(tmp_path / "c.toml"), "--hypervisor", "qemu"]
    assert started == [(tmp_path / "other", options)]
