"""The command line against the real daemon, broker and agents, all on this machine."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vmcontroller import cli, client

HOUSE = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Done:
    """What one invocation left."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        """Its result."""
        return json.loads(self.out)


class Operator:
    """Types commands for one state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = os.environ | {"VMCONTROLLER_STATE_DIR": str(home), "PYTHONPATH": str(HOUSE)}

    def begin(self, *argv: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a verb with pipes at its ends."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "vmcontroller", *argv]
        return subprocess.Popen(command, env=self._environment, **{**pipes, **how})

    def __call__(self, *argv: str, stdin: bytes = b"") -> Done:
        """Do a verb."""
        with self.begin(*argv) as process:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        return Done(process.returncode, out, err.decode())

    def here(self, *argv: str) -> Done:
        """Do a verb in this process, which is quicker."""
        out, err = io.StringIO(), io.StringIO()
        code = cli.main([*argv, "--state-dir", str(self.home)], out, err)
        return Done(code, out.getvalue().encode(), err.getvalue())

    def pid(self) -> int:
        """The daemon's."""
        found = client.find(self.home)
        assert found
        return found.pid


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory whose daemon is ended at last, however the tests left it."""
    path = tmp_path_factory.mktemp("operator")
    yield path
    if client.find(path):
        Operator(path)("stop-daemon")
    assert client.find(path) is None


@pytest.fixture(scope="module")
def vmc(home: Path) -> Operator:
    """An operator with two VMs that run."""
    operator = Operator(home)
    started = operator("daemon", "--background", "--hypervisor", "process")
    assert started.code == 0, started.err
    assert operator("create", "w1", "w2").code == 0
    assert operator("start", "w1", "w2") == Done(0, b"w1: Running\nw2: Running\n", "")
    return operator


def shell(script: str) -> list[str]:
    return ["--", "/bin/sh", "-c", script]


def await_(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestRun:
    """Commands."""

    def test_output_code_environment_and_directory(self, vmc: Operator) -> None:
        """As if it ran here."""
        script = 'echo "$A"; pwd; echo err >&2; exit 7'
        done = vmc("run", "w1", "--env", "A=b c", "--cwd", "/", *shell(script))
        assert done == Done(7, b"b c\n/\n", "err\n")

    def test_octets_go_in_and_come_out_as_they_are(self, vmc: Operator) -> None:
        """Three megabytes of everything, through the guest and back."""
        everything = bytes(range(256)) * 12_000
        done = vmc("run", "w1", "--", "cat", stdin=everything)
        assert (done.code, done.err) == (0, "")
        assert done.out == everything

    def test_a_stream_comes_while_it_runs(self, vmc: Operator) -> None:
        """Question and answer, line by line."""
        with vmc.begin("run", "w1", *shell("while read x; do echo got $x; done")) as process:
            assert process.stdin
            assert process.stdout
            for word in (b"one", b"two"):
                process.stdin.write(word + b"\n")
                process.stdin.flush()
                assert process.stdout.readline() == b"got " + word + b"\n"
            process.stdin.close()
            assert process.wait(timeout=PATIENCE) == 0

    @pytest.mark.parametrize(
        ("argv", "code", "says"),
        [
            (["w1", *shell("kill -9 $$")], 137, ""),
            (
                ["--timeout", "0.2", "w1", *shell("exec sleep 60")],
                124,
                "ended by its limit: It ran longer than its limit of 0.2 s.",
            ),
            (["w1", "--", "no-such-program"], 127, "w1: the command was not started: no-such-program is not found"),
            (["w1", "--", "/no/such/program"], 127, "/no/such/program does not exist in the guest"),
            (["w1", "--", "/etc/passwd"], 126, "is not executable"),
            (["nobody", "--", "true"], 125, "nobody"),
            (["x-*", "--", "true"], 125, "x-*"),
            (["--cwd", "/no/such/directory", "w1", "--", "true"], 126, "/no/such/directory"),
        ],
    )
    def test_how_it_may_end(self, vmc: Operator, argv: list[str], code: int, says: str) -> None:
        """The code and, where that is not enough, one sentence."""
        done = vmc("run", *argv)
        assert (done.code, done.out) == (code, b"")
        assert says in done.err
        assert done.err.count("\n") == bool(says)

    def test_a_pattern(self, vmc: Operator) -> None:
        """Labelled lines from both, in no particular order, and the worst code."""
        done = vmc("run", "w*", *shell("pwd >&2; cat; exit 3"), stdin=b"x\ny")
        assert done.code == 3
        assert sorted(done.out.splitlines()) == [b"w1: x", b"w1: y", b"w2: x", b"w2: y"]
        assert sorted(line[:4] for line in done.err.splitlines()) == ["w1: ", "w2: "]

    def test_a_pattern_as_json(self, vmc: Operator) -> None:
        """One object, with what each VM said."""
        told = vmc("run", "--json", "w*", *shell("echo hello")).json
        assert told["exitCode"] == 0
        assert {vm: part["out"] for vm, part in told["vms"].items()} == {"w1": "hello\n", "w2": "hello\n"}
        assert told["vms"]["w1"]["resources"]["ru_maxrss"] > 0

    def test_ctrl_c_reaches_the_command(self, vmc: Operator) -> None:
        """Its handler runs, in the VM."""
        script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
        with vmc.begin("run", "w1", *shell(script)) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == b"caught\n"
            assert process.wait(timeout=PATIENCE) == 5

    def test_the_second_ctrl_c_kills_it(self, vmc: Operator) -> None:
        """Whatever it does about the first."""
        with vmc.begin(
            "run", "w1", *shell("trap 'echo deaf' INT; echo ready; while :; do sleep 0.05; done")
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"deaf\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE) == 137

    def test_nobody_reads_what_it_writes(self, vmc: Operator) -> None:
        """It is ended and forgotten."""
        with vmc.begin("run", "w1", *shell("echo $$; exec yes")) as process:
            assert process.stdout
            pid = int(process.stdout.readline())
            process.stdout.close()
            assert process.wait(timeout=PATIENCE) == 141
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_detached_and_come_back_to(self, vmc: Operator) -> None:
        """Twice the same, until it is forgotten."""
        cmd_id = vmc("run", "--detach", "w1", *shell("echo out; exit 4")).out.decode().strip()
        assert vmc("output", cmd_id) == vmc("output", cmd_id) == Done(4, b"out\n", "")
        assert vmc("call", "forgetCmd", cmd_id).code == 0
        assert vmc("output", cmd_id).code == 1

    def test_what_was_shown_is_forgotten(self, vmc: Operator) -> None:
        """The ledger does not grow with every command of an operator."""
        before = len(vmc("call", "listCmds").json)
        vmc("run", "w*", "--", "true")
        assert len(vmc("call", "listCmds").json) == before

    def test_who_has_not_answered(self, vmc: Operator) -> None:
        """A paused VM takes the command when it goes on; meanwhile it is said who is missing."""
        assert vmc("pause", "w2").code == 0
        with vmc.begin("run", "w*", *shell("echo here")) as process:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline() == b"w1: here\n"
            assert process.stderr.readline() == b"vmcontroller: has not answered yet: w2\n"
            assert vmc("resume", "w2").code == 0
            assert process.stdout.readline() == b"w2: here\n"
            assert process.wait(timeout=PATIENCE) == 0


class TestFiles:
    """``cp``."""

    NAME = "näme with 'quotes' and \"more\".bin"

    def test_a_file_there_and_back(self, vmc: Operator, tmp_path: Path) -> None:
        """Octets, mode and a difficult name."""
        (tmp_path / self.NAME).write_bytes(bytes(range(256)) * 9_000)
        (tmp_path / self.NAME).chmod(0o750)
        assert vmc("cp", str(tmp_path / self.NAME), "w1:") == Done(0, b"", "")
        assert vmc("cp", f"w1:{self.NAME}", str(tmp_path / "back")) == Done(0, b"", "")
        assert (tmp_path / "back").read_bytes() == (tmp_path / self.NAME).read_bytes()
        assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o750

    def test_a_program_can_be_run_where_it_was_put(self, vmc: Operator, tmp_path: Path) -> None:
        """The working directory is the one that files are put into."""
        (tmp_path / "tool").write_text("#!/bin/sh\necho it runs\n")
        (tmp_path / "tool").chmod(0o755)
        assert vmc("cp", str(tmp_path / "tool"), "w1:").code == 0
        assert vmc("run", "w1", "--", "./tool").out == b"it runs\n"

    def test_a_directory_there_and_back(self, vmc: Operator, tmp_path: Path) -> None:
        """Whole, empty ones included; into a directory that is there it goes under its own name."""
        (tmp_path / "dir" / "deep" / "empty").mkdir(parents=True)
        (tmp_path / "dir" / "deep" / "x").write_text("x")
        (tmp_path / "dir" / "nothing").touch()
        for _ in range(2):
            assert vmc("cp", str(tmp_path / "dir"), "w1:").code == 0
        assert vmc("cp", "w1:dir", str(tmp_path / "back")).code == 0
        found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*"))
        assert found == ["deep", "deep/empty", "deep/x", "nothing"]
        assert (tmp_path / "back" / "deep" / "x").read_text() == "x"

    def test_the_result_as_json(self, vmc: Operator, tmp_path: Path) -> None:
        """The transfer's last state."""
        (tmp_path / "f").write_bytes(bytes(1000))
        told = vmc("cp", "--json", str(tmp_path / "f"), "w2:g").json
        assert (told["state"], told["done"], told["total"]) == ("done", 1000, 1000)

    @pytest.mark.parametrize(
        ("argv", "says"),
        [
            (["/no/such/file", "w1:"], "/no/such/file"),
            (["w1:no-such-file", "."], "no-such-file"),
            (["w1:../../etc/passwd", "."], "etc/passwd"),
            (["nobody:x", "."], "nobody"),
            (["/etc/passwd", "nobody:"], "nobody"),
        ],
    )
    def test_what_cannot_be_copied_is_one_sentence(self, vmc: Operator, argv: list[str], says: str) -> None:
        """And nothing is written."""
        done = vmc.here("cp", *argv)
        assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
        assert says in done.err


class TestMachines:
    """The life of a VM."""

    def test_from_create_to_rm(self, vmc: Operator) -> None:
        """Each verb does what it says."""
        assert vmc("create", "m", "--memory", "64") == Done(0, b"m: PoweredOff\n", "")
        assert vmc("start", "m") == Done(0, b"m: Running\n", "")
        assert vmc("pause", "m").out == b"m: Paused\n"
        assert vmc("resume", "m").out == b"m: Running\n"
        assert vmc("save", "m").out == b"m: Saved\n"
        assert vmc("start", "m").out == b"m: Running\n"
        assert vmc("stop", "m").out == b"m: PoweredOff\n"
        assert vmc("start", "m").out == b"m: Running\n"
        assert vmc("stop", "--hard", "m").out == b"m: PoweredOff\n"
        assert vmc("rm", "m").out == b"m: removed\n"
        assert "m" not in [vm["name"] for vm in vmc("list", "--json").json]

    def test_a_snapshot_brings_files_back(self, vmc: Operator) -> None:
        """Taken, listed, restored and removed."""
        vmc("create", "s")
        vmc("start", "s")
        assert vmc("run", "s", *shell("echo old > f")).code == 0
        assert vmc("snapshot", "take", "s", "one", "--description", "the first").out == b"one\n"
        assert vmc("run", "s", *shell("echo new > f")).code == 0
        assert vmc("stop", "--hard", "s").code == 0
        assert vmc("snapshot", "restore", "s").out == b"s: PoweredOff\n"
        assert b"the first" in vmc("snapshot", "list", "s").out
        assert vmc("start", "s").code == 0
        assert vmc("run", "s", "--", "cat", "f").out == b"old\n"
        assert vmc("snapshot", "rm", "s", "one").code == 0
        assert vmc("snapshot", "list", "s").out == b""
        assert vmc("rm", "s").code == 0

    @pytest.mark.parametrize(
        "argv",
        [
            ["start", "nobody"],
            ["stop", "nobody"],
            ["pause", "nobody"],
            ["resume", "nobody"],
            ["save", "nobody"],
            ["rm", "nobody"],
            ["rm", "x-*"],
            ["snapshot", "take", "nobody"],
            ["snapshot", "restore", "nobody"],
            ["snapshot", "list", "nobody"],
            ["snapshot", "rm", "w1", "nothing"],
            ["snapshot", "restore", "w1", "nothing"],
            ["resume", "w1"],
            ["start", "w1"],
            ["create", "w1"],
            ["create", "a/b"],
            ["create", "x", "--memory", "-5"],
            ["create", "x", "--image", "/no/such/image"],
            ["call", "fly"],
            ["call", "getState"],
            ["call", "getState", "7"],
            ["call", "getCmdDetails", "x"],
            ["output", "x"],
        ],
    )
    def test_what_is_refused_is_one_sentence(self, vmc: Operator, argv: list[str]) -> None:
        """Nothing on stdout, exit code 1."""
        done = vmc.here(*argv)
        assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
        assert done.err.startswith("vmcontroller: ")
        assert "fault of its own" not in done.err

    def test_tables(self, vmc: Operator) -> None:
        """What runs is in them."""
        with vmc.begin("run", "w1", *shell("echo ready; cat")) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            shown = vmc("status").out.decode()
            process.communicate()
        assert "hypervisor  process" in shown
        assert "echo ready; cat" in shown
        row = next(line for line in vmc("list").out.decode().splitlines() if line.startswith("w1"))
        assert row.split()[2:5] == ["default", "Running", "answers"]

    def test_doctor_is_content(self, vmc: Operator) -> None:
        """Everything that it looks at is there."""
        done = vmc("doctor")
        assert done.code == 0, done.out
        assert b"running VMs answer" in done.out


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
        first = own("list")
        assert (first.code, first.out) == (0, b"")
        assert first.err == f"vmcontroller: started a daemon for {own.home} (pid {own.pid()})\n"
        assert own("list") == Done(0, b"", "")
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
