"""How daemons begin and end from the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.operator import PATIENCE, Done, Operator, await_, shell
from vmcontroller import client


class TestDaemon:
    """The daemon's own life; these tests have state directories of their own."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Iterator[Operator]:
        """Without a daemon, and again without one."""
        operator = Operator(tmp_path / "home")
        yield operator
        if client.find(operator.home):
            operator("stop-daemon")

    def test_none_runs(self, own: Operator) -> None:
        """The verbs that start none say so with their own code."""
        assert own("status").code == own("stop-daemon").code == 3
        assert not own.home.exists()

    def test_the_first_verb_starts_one(self, own: Operator) -> None:
        """Once, and the directory is its user's alone."""
        first = own("call", "listVMs")
        assert (first.code, first.out) == (0, b"[]\n")
        assert first.err == f"vmcontroller: started a daemon for {own.home} (pid {own.pid()})\n"
        assert own("call", "listVMs") == Done(0, b"[]\n", "")
        assert stat.S_IMODE(own.home.stat().st_mode) == 0o700
        assert stat.S_IMODE((own.home / "daemon.json").stat().st_mode) == 0o600

    def test_a_second_one_finds_the_first(self, own: Operator) -> None:
        """In the background it is named; here it is refused."""
        assert own("daemon", "--background").code == 0
        pid = own.pid()
        again = own("daemon", "--background", "--json").json
        assert again["pid"] == own.pid() == pid
        refused = own("daemon")
        assert (refused.code, refused.out) == (1, b"")
        assert "owns" in refused.err

    def test_two_at_once_are_one(self, own: Operator) -> None:
        """Whoever comes second waits for the first."""
        begun = [own.begin("daemon", "--background", "--json") for _ in range(3)]
        told = [process.communicate(timeout=PATIENCE) for process in begun]
        assert {json.loads(out)["pid"] for out, _ in told} == {own.pid()}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_in_the_foreground_it_ends_by_a_signal(self, own: Operator, number: int) -> None:
        """With nothing left but its state."""
        with own.begin("daemon") as process:
            await_(lambda: client.find(own.home) is not None)
            process.send_signal(number)
            assert process.wait(timeout=PATIENCE) == 0
        assert not (own.home / "daemon.json").exists()

    @pytest.mark.parametrize(
        ("argv", "says"),
        [
            (["--hypervisor", "nonsense"], "nonsense"),
            (["--set", "guests.grace=long"], "guests.grace is 'long'"),
            (["--set", "log_level=loud"], "log_level"),
            (["--state-dir", "/dev/null/x"], "/dev/null"),
        ],
    )
    def test_what_keeps_it_from_starting_is_told(self, own: Operator, argv: list[str], says: str) -> None:
        """In the foreground and in the background alike."""
        for how in (["--background"], []):
            done = own("daemon", *how, *argv)
            assert (done.code, done.out) == (1, b"")
            assert any(line.startswith("vmcontroller: ") and says in line for line in done.err.splitlines())
            assert "Traceback" not in done.err

    def test_a_port_that_is_taken(self, own: Operator) -> None:
        """One sentence with the way out, through the pipe of a daemon in the background."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = own("daemon", "--background", "--set", f"xmlrpc.port={port}")
        assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
        assert str(port) in done.err

    def test_a_command_outlives_its_daemon(self, own: Operator) -> None:
        """Killed in the middle: the operator is told, and comes back to the whole output."""
        assert own("create", "v").code == 0
        assert own("start", "v").code == 0
        with own.begin(
            "run", "v", *shell("echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done; exit 6")
        ) as run:
            assert run.stdout
            assert run.stdout.readline() == b"begun\n"
            os.kill(own.pid(), signal.SIGKILL)
            _, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 125
        assert b"went away" in err
        cmd_id = err.split(b"vmcontroller output ")[1].split()[0].decode()
        with own.begin("output", cmd_id) as back:
            assert back.stdout
            assert back.stdout.readline() == b"begun\n"
            assert own("run", "v", "--", "touch", "go").code == 0
            assert back.stdout.readline() == b"done\n"
            assert back.wait(timeout=PATIENCE) == 6
        assert own("rm", "v").code == 0

    def test_a_vm_outlives_its_daemon(self, own: Operator) -> None:
        """The verb that starts the next one waits until the VM's agent has found it."""
        assert own("create", "v").code == 0
        assert own("start", "v").code == 0
        os.kill(own.pid(), signal.SIGKILL)
        await_(lambda: client.find(own.home) is None)
        done = own("run", "v", "--", "echo", "still here")
        assert (done.code, done.out) == (0, b"still here\n")
        assert done.err.startswith("vmcontroller: started a daemon for ")
        assert own("rm", "v").code == 0
