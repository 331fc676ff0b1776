"""What Ctrl-C and its kin do to ``run``, and what is said where nothing comes of it."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from tests.vmcontroller.cli.conftest import Started, await_, shell
from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon


def told(process: subprocess.Popen[bytes], of: str) -> str:
    """The next sentence of ``of``; a slow machine may have heard before it that the VM has not answered yet."""
    assert process.stderr
    return next(line for line in map(bytes.decode, process.stderr) if f" {of} " in line)


class TestSignals:
    """Ctrl-C and its kin go to the command."""

    TRAPPING = "trap 'echo caught; exit 5' INT TERM HUP; echo ready; while :; do sleep 0.05; done"
    DEAF = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"

    def ready(self, begin: Started, script: str) -> subprocess.Popen[bytes]:
        process = begin("run", "w1", *shell(script))
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_the_command_may_handle_it(self, begin: Started, number: int) -> None:
        """Its own last words and code are ours."""
        process = self.ready(begin, self.TRAPPING)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (5, b"caught\n")

    def test_or_die_of_it(self, begin: Started) -> None:
        """128 and the signal's number."""
        process = self.ready(begin, "echo ready; exec sleep 60")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130

    def test_the_second_kills(self, begin: Started, daemon: FakeDaemon) -> None:
        """A command that does not listen is ended."""
        process = self.ready(begin, self.DEAF)
        process.send_signal(signal.SIGINT)
        await_(lambda: len(daemon.asked("signalCmd")) == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 137
        assert [number for _, number in daemon.asked("signalCmd")] == [signal.SIGINT, signal.SIGKILL]

    def test_the_third_leaves(self, begin: Started, daemon: FakeDaemon) -> None:
        """A VM that is paused cannot be killed from inside; the operator is told how to come back."""
        daemon.methods["signalCmd"] = lambda cmd_id, number: True
        process = self.ready(begin, self.DEAF)
        for count in (1, 2):
            process.send_signal(signal.SIGINT)
            await_(lambda count=count: len(daemon.asked("signalCmd")) == count)  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert re.search(r"the command may go on; .*: vmcontroller output [0-9a-f]{32}\n$", err.decode())

    def test_a_signal_that_was_ignored_stays_ignored(self, begin: Started, daemon: FakeDaemon) -> None:
        """nohup means what it says."""
        process = begin("run", "w1", *shell("echo ready; read x"), preexec_fn=lambda: signal.signal(1, signal.SIG_IGN))
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        process.communicate(b"go on\n", timeout=30)
        assert (process.returncode, daemon.asked("signalCmd")) == (0, [])


class TestAVMThatBrokeDown:
    """The command was accepted, and nothing runs there any more."""

    def test_it_is_told_and_ctrl_c_leaves(self, begin: Started, daemon: FakeDaemon, api: FakeApi) -> None:
        """At the first: nobody is there to hear it."""
        daemon.methods["signalCmd"] = lambda cmd_id, number: True
        process = begin("run", "w1", *shell("echo a; exec sleep 60"))
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"a\n"
        api.vms["w1"] = "Aborted"
        assert process.stderr.readline() == b"vmcontroller: w1 is Aborted; vmcontroller start w1 goes on\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        kept, how = err.decode().splitlines()
        assert kept == "vmcontroller: SIGINT is kept until it can be heard by w1 (Aborted)"
        assert "the command may go on; " in how
        assert (process.returncode, len(daemon.asked("signalCmd"))) == (130, 1)


class TestAPausedVM:
    """Nothing reaches the command, and nothing comes from it."""

    @pytest.fixture(autouse=True)
    def paused(self, api: FakeApi, daemon: FakeDaemon) -> None:
        """Signals are kept by the daemon; the command stays as it is."""
        api.vms["w1"] = "Paused"
        api.taken = False
        daemon.methods["signalCmd"] = lambda cmd_id, number: True

    def begun(self, begin: Started, daemon: FakeDaemon, *options: str) -> subprocess.Popen[bytes]:
        process = begin("run", *options, "w1", "--", "sleep", "60")
        await_(lambda: len(daemon.asked("waitForOutput")) > 0)
        return process

    def test_ctrl_c_says_what_it_waits_for(self, begin: Started, daemon: FakeDaemon) -> None:
        """And what the next one does."""
        process = self.begun(begin, daemon)
        waits = "was sent; waiting for w1 (Paused); Ctrl-C again"
        process.send_signal(signal.SIGINT)
        assert told(process, "SIGINT") == f"vmcontroller: SIGINT {waits} kills the command, once more leaves it\n"
        process.send_signal(signal.SIGINT)
        assert told(process, "SIGKILL") == f"vmcontroller: SIGKILL {waits} leaves it\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130

    def test_the_timeout_counts_here_too(self, begin: Started, daemon: FakeDaemon, api: FakeApi) -> None:
        """The command is killed when the VM comes back; who asked is told and leaves with the code of a time-out."""
        process = self.begun(begin, daemon, "--timeout", "0.2")
        _, err = process.communicate(timeout=30)
        assert process.returncode == 124
        late, how = err.decode().splitlines()
        assert late == "vmcontroller: w1: the command was not begun in time; it is killed as soon as the VM answers"
        assert re.fullmatch("vmcontroller: what becomes of it is shown by: vmcontroller output [0-9a-f]{32}", how)
        assert [number for _, number in daemon.asked("signalCmd")] == [signal.SIGKILL]
        assert api.forgotten == []
