"""``run`` and ``output`` against the real daemon, broker and agents, all on this machine."""

from __future__ import annotations

import os
import signal

import pytest

from tests.loopback.operator import PATIENCE, Done, Operator, shell


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
            assert process.stderr.readline() == b"vmcontroller: has not answered yet: w2 (Paused)\n"
            assert vmc("resume", "w2").code == 0
            assert process.stdout.readline() == b"w2: here\n"
            assert process.wait(timeout=PATIENCE) == 0

    def test_a_vm_that_is_killed(self, vmc: Operator) -> None:
        """It is told, with the way out; after that the command's fate is known."""
        with vmc.begin("run", "w2", *shell("echo $PPID; exec sleep 600")) as process:
            assert process.stdout
            assert process.stderr
            os.kill(int(process.stdout.readline()), signal.SIGKILL)
            assert process.stderr.readline() == b"vmcontroller: w2 is Aborted; vmcontroller start w2 goes on\n"
            assert vmc("start", "w2").code == 0
            assert process.wait(timeout=PATIENCE) == 125
            assert b"w2: the command was lost" in process.stderr.read()

    def test_a_timeout_in_a_vm_that_stands_still(self, vmc: Operator) -> None:
        """It holds here; the command is killed when the VM goes on."""
        assert vmc("pause", "w2").code == 0
        done = vmc("run", "--timeout", "0.5", "w2", "--", "sleep", "600")
        assert (done.code, done.out) == (124, b"")
        assert vmc("resume", "w2").code == 0
        cmd_id = done.err.split()[-1]
        assert vmc("output", cmd_id).code == 137
        assert vmc("call", "forgetCmd", cmd_id).code == 0
