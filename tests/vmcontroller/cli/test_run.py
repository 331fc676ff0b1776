"""``run`` and ``output`` as a process of their own, with real pipes; commands are processes of the fake."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.cli.conftest import Started, shell
from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon, hang_up

EVERY_OCTET = bytes(range(256)) * 300


class TestOneVM:
    """A command in one VM, as if it ran here."""

    def test_output_and_exit_code_pass_through(self, do: Any, api: FakeApi) -> None:
        """Each stream to its own; the command is forgotten when all of it is here."""
        assert do("run", "w1", *shell("echo out; echo err >&2; exit 7")) == (7, b"out\n", "err\n")
        assert len(api.forgotten) == 1

    def test_what_is_said_reaches_the_daemon(self, do: Any, daemon: FakeDaemon) -> None:
        """Environment, directory and limit; arguments that look like options stay the command's."""
        env = ["--env", "A=1=2", "--env", "B="]
        code, out, _ = do(
            "run",
            "id-w1",
            *env,
            "--cwd",
            "/",
            "--timeout",
            "9",
            "--group",
            "g",
            *shell('echo "$A$B" $0 "$@"'),
            "-n",
            "--",
        )
        assert (code, out) == (0, b"1=2 -n --\n")
        ((vm, cmd, args, env_said, path, stdin, options),) = daemon.asked("runCmd")
        assert (vm, cmd, args[:1], path, stdin) == ("id-w1", "sh", ["-c"], "/", "")
        assert env_said == {"A": "1=2", "B": ""}
        assert (options["limits"], options["stdin"], options["group"]) == ({"seconds": 9.0}, "stream", "g")

    def test_input_and_output_are_octets(self, do: Any) -> None:
        """Every octet, in both directions, more than one call carries."""
        assert do("run", "w1", "--", "cat", stdin=EVERY_OCTET) == (0, EVERY_OCTET, "")

    def test_input_may_be_a_file(self, begin: Started, tmp_path: Path) -> None:
        """It is read to its end."""
        (tmp_path / "in").write_bytes(EVERY_OCTET)
        with (tmp_path / "in").open("rb") as file:
            out, _ = begin("run", "w1", "--", "wc", "-c", stdin=file).communicate(timeout=30)
        assert int(out) == len(EVERY_OCTET)

    def test_input_stays_with_the_caller_if_that_is_wanted(self, do: Any, daemon: FakeDaemon) -> None:
        """With -n a loop in a script keeps its own input."""
        assert do("run", "-n", "w1", "--", "cat", stdin=b"mine") == (0, b"", "")
        assert "stdin" not in daemon.asked("runCmd")[0][-1]

    def test_output_comes_while_it_runs(self, begin: Started) -> None:
        """A line is here before the next one is asked for."""
        process = begin("run", "w1", *shell("while read line; do echo got $line; done; exit 3"))
        assert process.stdin
        assert process.stdout
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"got " + word + b"\n"
        process.stdin.close()
        assert process.wait(timeout=30) == 3

    def test_a_command_that_reads_nothing_is_not_waited_for(self, begin: Started) -> None:
        """It has ended; that our own input has not does not matter."""
        process = begin("run", "w1", "--", "true")
        assert process.wait(timeout=30) == 0

    @pytest.mark.parametrize(
        ("outcome", "reason", "code", "says"),
        [
            ("timedOut", "", 124, "w1: the command was ended by its limit\n"),
            ("lost", "the agent was killed", 125, "went away: the agent was killed"),
            ("rolledBack", "", 125, "w1: the VM was rolled back to a time before the command"),
        ],
    )
    def test_outcomes_that_are_no_exit_codes(
        self, begin: Started, api: FakeApi, outcome: str, reason: str, code: int, says: str
    ) -> None:
        """A sentence and a code; what was printed before is here, and what may come back is not forgotten."""
        process = begin("run", "w1", *shell("echo begun; exec sleep 60"))
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        ((cmd_id, parts),) = api.cmds.items()
        parts["w1"].end(outcome, reason)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert says in err.decode()
        assert (cmd_id in err.decode()) == (outcome != "timedOut")
        assert api.forgotten == ([cmd_id] if outcome == "timedOut" else [])

    @pytest.mark.parametrize(("program", "code"), [("/no/such/program", 127), ("/etc/passwd", 126)])
    def test_a_command_that_cannot_be_started(self, do: Any, program: str, code: int) -> None:
        """127 if it is not there, 126 if it is, and the reason."""
        found, out, err = do("run", "w1", "--", program)
        assert (found, out) == (code, b"")
        assert err.startswith(f"vmcontroller: w1: the command was not started: {program} ")

    def test_refusals_have_a_code_that_commands_do_not_use(self, do: Any) -> None:
        """125 and the fault's sentence."""
        assert do("run", "nobody", "--", "true") == (125, b"", "vmcontroller: no VM matches nobody\n")

    def test_the_result_as_json(self, do: Any) -> None:
        """Output that is text is text, other output is octets."""
        code, out, err = do("run", "--json", "w1", *shell(r"printf '\377'; echo ü >&2; kill -9 $$"))
        told = json.loads(out)
        assert (code, err, told["exitCode"]) == (137, "", 137)
        w1 = told["vms"]["w1"]
        assert (w1["outcome"], w1["exitCodeOrSignal"], w1["exitCode"]) == ("signalled", 9, 137)
        assert (w1["out"], w1["err"]) == ({"base64": "/w=="}, "ü\n")


class TestPattern:
    """A command in many VMs."""

    def test_each_line_says_whose_it_is(self, do: Any) -> None:
        """On both streams; a last line without end gets one."""
        code, out, err = do("run", "w*", *shell("echo a; printf b$VM; echo c >&2"))
        assert code == 0
        assert sorted(out.splitlines()) == [b"w1: a", b"w1: bw1", b"w2: a", b"w2: bw2"]
        assert sorted(err.splitlines()) == ["w1: c", "w2: c"]

    def test_it_succeeds_only_if_all_did(self, do: Any) -> None:
        """The worst code is ours."""
        assert do("run", "w*", *shell("test $VM = w1 || exit 9"))[0] == 9

    def test_a_pattern_that_matches_one_is_a_pattern(self, do: Any) -> None:
        """A script can count on the labels."""
        assert do("run", "w1*", "--", "echo", "x") == (0, b"w1: x\n", "")

    def test_input_goes_to_all(self, do: Any) -> None:
        """Each has the whole."""
        code, out, _ = do("run", "w*", "--", "cat", stdin=b"x\n")
        assert (code, sorted(out.splitlines())) == (0, [b"w1: x", b"w2: x"])


class TestTrouble:
    """What breaks on the way."""

    def test_nobody_reads_the_output(self, begin: Started, api: FakeApi) -> None:
        """The command is ended, as it would be here, and so are we, without a word."""
        process = begin("run", "w1", "--", "yes")
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 141
        assert process.stderr
        assert process.stderr.read() == b""
        assert len(api.forgotten) == 1

    @pytest.mark.parametrize("script", ["echo x", "while :; do echo x; done"])
    def test_the_output_cannot_be_written(self, begin: Started, api: FakeApi, script: str) -> None:
        """The reason is told, and the command is ended if it still runs."""
        with open("/dev/full", "wb") as full:
            process = begin("run", "w1", *shell(script), stdout=full)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (125, b"vmcontroller: No space left on device\n")
        assert len(api.forgotten) == 1

    def test_a_stream_was_closed_before_we_began(self, begin: Started, daemon: FakeDaemon) -> None:
        """There is nobody to show anything to; the exit code tells."""

        def closed() -> None:
            for descriptor in (0, 1, 2):
                os.close(descriptor)

        assert begin("list", preexec_fn=closed).wait(timeout=30) == 0
        assert begin("run", "w1", *shell("cat; echo x; exit 3"), preexec_fn=closed).wait(timeout=30) == 3

    def test_the_daemon_goes_away(self, begin: Started, daemon: FakeDaemon) -> None:
        """One sentence for what happened, one for what to do."""
        process = begin("run", "w1", *shell("echo ready; sleep 60"))
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        daemon.methods["waitForOutput"] = hang_up
        _, err = process.communicate(timeout=30)
        assert process.returncode == 125
        may, lost = err.decode().splitlines()
        assert "the command may go on; what becomes of it is shown by: vmcontroller output" in may
        assert lost.startswith("vmcontroller: the daemon went away during waitForOutput: ")


class TestOutput:
    """Coming back to a command."""

    def test_detached_and_looked_at_again(self, do: Any, api: FakeApi) -> None:
        """From the beginning, as often as one likes, with the command's code."""
        code, out, _ = do("run", "--detach", "w1", *shell("echo a; exit 4"))
        cmd_id = out.decode().strip()
        assert (code, list(api.cmds)) == (0, [cmd_id])
        assert do("output", cmd_id) == do("output", cmd_id) == (4, b"a\n", "")
        assert json.loads(do("output", "--json", cmd_id)[1])["vms"]["w1"]["out"] == "a\n"

    def test_leaving_it_lets_it_run(self, begin: Started, do: Any, api: FakeApi) -> None:
        """Ctrl-C is ours here, not the command's."""
        cmd_id = do("run", "--detach", "w1", *shell("echo a; exec sleep 60"))[1].decode().strip()
        process = begin("output", cmd_id)
        assert process.stdout
        assert process.stdout.readline() == b"a\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert api.cmds[cmd_id]["w1"].look() == ""

    def test_an_unknown_one_is_told(self, do: Any) -> None:
        """The fault's sentence."""
        assert do("output", "x") == (1, b"", "vmcontroller: no command has the id x\n")
