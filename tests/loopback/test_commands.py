"""Commands the whole way: XML-RPC, daemon, broker, agent, program, and back."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.loopback.house import DEADLINE, House, house, wait_for
from vmcontroller.client import ApiFault, octets

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("home") / "state") as lived:
        lived.vms("alpha", "worker-1", "worker-2", "worker-3")
        yield lived


def fault(call: Any, *arguments: Any) -> ApiFault:
    """The fault that a call must give."""
    with pytest.raises(ApiFault) as caught:
        call(*arguments)
    return caught.value


class TestOutcomes:
    """A result says exactly what happened."""

    def test_exit_code_and_both_streams(self, home: House) -> None:
        """An exit code is no failure of ours: finished is true, whatever the code."""
        result = home.shell("alpha", "echo out; echo err >&2; exit 7")
        assert (result["out"], result["err"]) == ("out\n", "err\n")
        assert (result["finished"], result["exitCodeOrSignal"], result["outcome"]) == (True, 7, "exited")
        assert len([name for name in result["resources"] if name.startswith("ru_")]) == 16

    def test_signal(self, home: House) -> None:
        """Death by a signal gives its number, and finished is false."""
        result = home.shell("alpha", "kill -SEGV $$")
        assert (result["finished"], result["exitCodeOrSignal"]) == (False, signal.SIGSEGV)
        assert result["outcome"] == "signalled"

    @pytest.mark.parametrize(
        ("command", "why"), [("/no/such/program", "/no/such/program"), ("/etc/passwd", "/etc/passwd")]
    )
    def test_not_started(self, home: House, command: str, why: str) -> None:
        """What cannot be started says why."""
        result = home.result(home.run("alpha", command))
        assert (result["outcome"], result["exitCodeOrSignal"], result["finished"]) == ("notStarted", -1, False)
        assert why in result["reason"]

    def test_timed_out(self, home: House) -> None:
        """A limit of wall time ends the whole tree."""
        result = home.result(home.run("alpha", "/bin/sh", "-c", "sleep 1000 & sleep 1000", limits={"seconds": 0.3}))
        assert result["outcome"] == "timedOut"
        assert 0.3 <= result["seconds"] < 20

    def test_writes_for_ever(self, home: House) -> None:
        """A limit of output ends it; what was printed until then is there."""
        result = home.result(home.run("alpha", "yes", limits={"outputBytes": 100_000}))
        assert result["outcome"] in ("signalled", "timedOut", "exited")
        assert "100000" in result["reason"].replace(",", "").replace("_", "")
        assert result["out"].startswith("y\ny\n")

    def test_forks_and_exits(self, home: House) -> None:
        """What outlives the command is ended and counted."""
        result = home.shell("alpha", "sleep 1000 & exit 0")
        assert (result["outcome"], result["left"]) == ("exited", 1)

    def test_output_is_octets(self, home: House) -> None:
        """Every octet arrives, text or not."""
        result = home.result(home.run("alpha", "printf", r"a\0b\r\n\377\033"))
        assert octets(result["out"]) == b"a\0b\r\n\xff\x1b"

    def test_resources_side_by_side(self, home: House) -> None:
        """Each command has its own account, though they run together."""
        busy = home.run("alpha", "/bin/sh", "-c", "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done")
        idle = home.run("alpha", "sleep", "0.5")
        used = {cmd_id: home.result(cmd_id)["resources"] for cmd_id in (busy, idle)}
        assert used[busy]["ru_utime"] > 0.05
        assert used[idle]["ru_utime"] + used[idle]["ru_stime"] < 0.05


class TestArguments:
    """What was asked arrives as it was asked."""

    def test_arguments(self, home: House) -> None:
        """Newlines, colons, quotes and other alphabets forge nothing."""
        odd = ["a\nb: c", "'\"", "é日本", "", "x y"]
        result = home.result(home.run("alpha", "printf", r"%s\n--\n", *odd))
        assert result["out"].split("\n--\n")[:-1] == odd

    def test_environment_and_directory(self, home: House) -> None:
        """env is laid over the agent's own, path is the working directory."""
        call = ("runCmd", "alpha", "/bin/sh", ["-c", 'echo "$GREETING"; pwd'], {"GREETING": "a\nb"}, "/")
        assert home.result(home.call(*call))["out"] == "a\nb\n/\n"

    def test_same_id_is_the_same_command(self, home: House) -> None:
        """Asking twice runs it once; another command under that id is refused."""
        marker = home.run("alpha", "/bin/sh", "-c", "echo x >> once; cat once", cmdId="once")
        assert home.run("alpha", "/bin/sh", "-c", "echo x >> once; cat once", cmdId="once") == marker == "once"
        assert home.result("once")["out"] == "x\n"
        with pytest.raises(ApiFault) as caught:
            home.run("alpha", "/bin/false", cmdId="once")
        assert caught.value.code == 301

    def test_stdin_inline(self, home: House) -> None:
        """Input given with the command."""
        assert home.result(home.run("alpha", "cat", stdin="some input"))["out"] == "some input"

    def test_stdin_file_in_the_guest(self, home: House) -> None:
        """fileForStdin is a file of the guest, in the directory that files are put into."""
        (home.state / "given").write_text("from a file")
        home.call("cpFileToVM", "alpha", "given")
        assert home.result(home.call("runCmd", "alpha", "cat", [], {}, "", "given"))["out"] == "from a file"

    def test_stdin_streamed(self, home: House) -> None:
        """Input written while the command runs, more than any pipe holds, every octet in its place."""
        cmd_id = home.run("alpha", "sha256sum", stdin="stream")
        data = os.urandom(3 << 20)
        for start in range(0, len(data), 1 << 20):
            home.call("writeStdin", cmd_id, data[start : start + (1 << 20)])
        home.call("closeStdin", cmd_id)
        assert home.result(cmd_id)["out"].split()[0] == hashlib.sha256(data).hexdigest()
        assert fault(home.call, "writeStdin", cmd_id, b"more").code == 302


class TestWhileItRuns:
    """A command can be watched, fed and ended."""

    def test_output_comes_while_it_runs(self, home: House) -> None:
        """What is printed is there before the command ends."""
        cmd_id = home.run("alpha", "/bin/sh", "-c", "echo first; read line; echo $line", stdin="stream")
        more = home.call("waitForOutput", cmd_id, 0, 0, DEADLINE)
        assert (octets(more["out"]), more["ended"]) == (b"first\n", False)
        home.call("writeStdin", cmd_id, b"second\n")
        assert home.result(cmd_id)["out"] == "first\nsecond\n"

    def test_signal(self, home: House) -> None:
        """A signal reaches every process of the command."""
        cmd_id = home.run(
            "alpha", "/bin/sh", "-c", "trap 'echo got it; exit 4' TERM; echo on; while :; do sleep 0.01; done"
        )
        home.call("waitForOutput", cmd_id, 0, 0, DEADLINE)
        home.call("signalCmd", cmd_id, int(signal.SIGTERM))
        result = home.result(cmd_id)
        assert result["exitCodeOrSignal"] in (4, signal.SIGTERM)
        assert fault(home.call, "signalCmd", cmd_id, 15).code == 302

    def test_details(self, home: House) -> None:
        """What was asked, and how far it is."""
        cmd_id = home.run("alpha", "echo", "hi", limits={"seconds": 60})
        home.result(cmd_id)
        details = home.call("getCmdDetails", cmd_id)
        assert (details["cmd"], details["args"], details["to"]) == ("echo", ["hi"], "alpha")
        assert details["parts"]["alpha"]["outcome"] == "exited"
        assert any(listed["cmdId"] == cmd_id for listed in home.call("listCmds", {"vm": "alpha", "finished": True}))

    def test_reading_does_not_destroy(self, home: House) -> None:
        """Reading takes it off the list of the unread, and can be done again; forgetting removes it."""
        cmd_id = home.run("alpha", "echo", "kept")
        home.call("waitForCmd", cmd_id, DEADLINE)
        assert cmd_id in home.call("listFinishedCmds")
        assert home.call("getCmdResults", cmd_id)["out"] == "kept\n"
        assert cmd_id not in home.call("listFinishedCmds")
        assert home.call("getCmdResults", cmd_id)["out"] == "kept\n"
        home.call("forgetCmd", cmd_id)
        assert home.call("getCmdResults", cmd_id) == ""
        assert fault(home.call, "getCmdDetails", cmd_id).code == 300


class TestPatterns:
    """One message, several guests."""

    def test_each_answers_once(self, home: House) -> None:
        """N results by name, and who has not answered."""
        cmd_id = home.run("worker-*", "/bin/sh", "-c", "echo $VMCONTROLLER_ID")
        results = home.result(cmd_id)
        assert sorted(results) == ["worker-1", "worker-2", "worker-3"]
        ids = home.call("getNamesToIdsMapping")
        assert {name: result["out"].strip() for name, result in results.items()} == {n: ids[n] for n in results}
        assert home.call("getCmdResults", cmd_id, "worker-2")["out"].strip() == ids["worker-2"]

    def test_one_by_one(self, home: House) -> None:
        """One result can be had before the others."""
        script = '[ "$VMCONTROLLER_ID" = "$1" ] && exit 0; read line'
        ids = home.call("getNamesToIdsMapping")
        cmd_id = home.run("worker-*", "/bin/sh", "-c", script, "sh", ids["worker-1"], stdin="stream")
        assert home.call("waitForCmd", cmd_id, DEADLINE, "worker-1")["finished"]
        assert home.call("waitForCmd", cmd_id, 0)["waiting"] == ["worker-2", "worker-3"]
        assert home.call("getCmdResults", cmd_id) == ""
        assert home.call("getCmdResults", cmd_id, "worker-1")["outcome"] == "exited"
        home.call("closeStdin", cmd_id)
        assert len(home.result(cmd_id)) == 3

    def test_nobody_matches(self, home: House) -> None:
        """A pattern without a match is told."""
        assert fault(home.run, "nobody-*", "true").code == 205


class TestBadInput:
    """Each mistake has a code and a sentence."""

    @pytest.mark.parametrize(
        ("code", "call"),
        [
            (200, ("runCmd", "nobody", "true")),
            (200, ("start", "nobody")),
            (100, ("runCmd", "alpha", "true", [], {}, "", "", {"limits": {"secnods": 1}})),
            (100, ("runCmd", "alpha", "true", [], {}, "", "", {"limits": {"seconds": "one"}})),
            (100, ("runCmd", "alpha", "true", [], {}, "", "", {"cmdId": "../x"})),
            (100, ("runCmd", "alpha", "true", [], {"A=B": "c"})),
            (100, ("runCmd", "alpha", "true", [], {}, "", "", {"nonsense": 1})),
            (300, ("getCmdDetails", "unknown")),
            (300, ("getCmdOutput", "unknown", "out", 0, 1)),
            (101, ("createVM", "a/b")),
            (100, ("createVM", "x", "", {"memoryMB": "much"})),
            (102, ("createVM", "x", "", {"cpus": 0})),
            (201, ("createVM", "alpha")),
            (202, ("start", "alpha")),
            (505, ("createVM", "x", "/no/such/image")),
            (404, ("getTransfer", "unknown")),
            (700, ("renewLease", "unknown")),
            (500, ("screenshot", "alpha")),
            (600, ("restoreSnapshot", "alpha", "none")),
            (-32601, ("noSuchMethod",)),
            (-32602, ("start",)),
            (-32602, ("start", 5)),
        ],
    )
    def test_fault(self, home: House, code: int, call: tuple[Any, ...]) -> None:
        assert fault(home.call, *call).code == code
        assert home.call("getState", "alpha") == "Running"


def test_large_output_does_not_grow_the_daemon(home: House) -> None:
    """100 MB come byte for byte, and neither daemon nor agent holds them in memory."""
    daemon, agent = psutil.Process(home.address.pid), home.agent("alpha")
    before = daemon.memory_info().rss, agent.memory_info().rss
    script = "import sys\nfor n in range(100): sys.stdout.buffer.write(bytes([n]) * 1_000_000)"
    cmd_id = home.run("alpha", "python3", "-c", script)
    peak = [0, 0]
    while not home.call("waitForCmd", cmd_id, 0.1)["finished"]:
        peak = [max(peak[0], daemon.memory_info().rss), max(peak[1], agent.memory_info().rss)]
    digest = hashlib.sha256()
    for offset in range(0, 100_000_000, 10_000_000):
        digest.update(octets(home.call("getCmdOutput", cmd_id, "out", offset, 10_000_000)))
    assert digest.digest() == hashlib.sha256(b"".join(bytes([n]) * 1_000_000 for n in range(100))).digest()
    assert peak[0] - before[0] < 50_000_000
    assert peak[1] - before[1] < 50_000_000


def test_beacon_tells_live_resources(tmp_path: Path) -> None:
    """While a command runs its resources are told with each beacon."""
    with house(tmp_path / "state", "--set", "guests.beacon_interval=0.2") as home:
        home.vm("alpha")
        cmd_id = home.run("alpha", "sleep", "1000")
        live = lambda: home.call("getCmdDetails", cmd_id)["parts"]["alpha"]["resources"].get("processes")  # noqa: E731
        wait_for(lambda: live() == 1, "no beacon told of the command")
        home.call("signalCmd", cmd_id, 9)
        home.result(cmd_id)
