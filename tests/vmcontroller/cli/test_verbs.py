"""The verbs for VMs, snapshots, calls and files, against a daemon whose API is a fake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.cli.conftest import Call, Done
from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon, hang_up
from vmcontroller import client


@pytest.mark.usefixtures("daemon")
class TestTables:
    """``list`` and ``status``."""

    def test_list(self, call: Call) -> None:
        """One line for each VM."""
        head, off, w1, _ = call("list").out.splitlines()
        assert head.split() == ["NAME", "ID", "GROUP", "STATE", "AGENT", "LOAD", "ADDRESSES"]
        assert off.split() == ["off", "id-off", "default", "PoweredOff", "-", "-", "-"]
        assert w1.split() == ["w1", "id-w1", "default", "Running", "answers", "0.25", "10.0.2.15"]

    def test_list_as_json(self, call: Call) -> None:
        """What getVM says."""
        assert [vm["name"] for vm in json.loads(call("list", "--json").out)] == ["off", "w1", "w2"]

    def test_an_empty_list(self, call: Call, api: FakeApi) -> None:
        """A script reads nothing, a newcomer what to do next."""
        api.vms.clear()
        assert call("list") == Done(0, "", "vmcontroller: there are no VMs; vmcontroller create NAME makes one\n")

    def test_an_agent_that_is_silent_is_shown(self, call: Call, api: FakeApi) -> None:
        """A VM that runs and does not answer."""
        api.alive.discard("w2")
        assert call("list").out.splitlines()[3].split()[4] == "silent"

    def test_status(self, call: Call) -> None:
        """The daemon, the VMs and what runs."""
        cmd_id = call("run", "--detach", "w1", "--", "sleep", "60").out.strip()
        done = call("status")
        assert done.code == 0
        assert "daemon      d1 9, pid 7, up 1:01:01" in done.out
        assert "hypervisor  fake 1" in done.out
        row = next(line for line in done.out.splitlines() if cmd_id in line)
        assert row.split() == [cmd_id, "w1", "accepted", "1:15", "sleep", "60"]
        told = json.loads(call("status", "--json").out)
        assert (told["running"], len(told["machines"]), len(told["commands"])) == (True, 3, 1)


def test_status_without_a_daemon_starts_none(call: Call, tmp_path: Path) -> None:
    """It says so, with its own exit code."""
    done = call("status")
    assert (done.code, done.out.startswith("no daemon runs for")) == (3, True)
    assert json.loads(call("status", "--json").out) == {"running": False, "stateDir": str(tmp_path)}
    assert list(tmp_path.iterdir()) == []


class TestMachines:
    """Verbs that take VMs."""

    @pytest.mark.parametrize(
        ("argv", "out", "states"),
        [
            (["start", "off"], "off: Running\n", {"off": "Running"}),
            (["stop", "w1"], "w1: PoweredOff\n", {"w1": "PoweredOff"}),
            (["stop", "--hard", "id-w1"], "id-w1: PoweredOff\n", {"w1": "PoweredOff"}),
            (["stop", "--save", "w*"], "w1: Saved\nw2: Saved\n", {"w1": "Saved", "w2": "Saved"}),
            (["save", "w1", "w2"], "w1: Saved\nw2: Saved\n", {"w1": "Saved", "w2": "Saved"}),
            (["pause", "w1", "w1"], "w1: Paused\n", {"w1": "Paused"}),
            (["rm", "off"], "off: removed\n", {"off": None}),
        ],
    )
    def test_each_does_its_deed(
        self, call: Call, daemon: FakeDaemon, api: FakeApi, argv: list[str], out: str, states: dict[str, Any]
    ) -> None:
        """The line says how the VM is afterwards."""
        assert call(*argv) == Done(0, out, "")
        assert {vm: api.vms.get(vm) for vm in states} == states

    def test_create_passes_what_was_said_and_nothing_else(self, call: Call, daemon: FakeDaemon) -> None:
        """The daemon's own defaults stand."""
        assert call("create", "a", "b").out == "a: PoweredOff\nb: PoweredOff\n"
        wishes = ("--memory", "64", "--cpus", "2", "--network", "--group", "g", "--hypervisor", "qemu")
        call("create", "c", "--image", "x.qcow2", *wishes)
        options = {"memoryMB": 64, "cpus": 2, "network": True, "group": "g", "hypervisor": "qemu"}
        assert daemon.asked("createVM") == [("a", "", {}), ("b", "", {}), ("c", "x.qcow2", options)]

    def test_one_that_fails_does_not_keep_the_others(self, call: Call, daemon: FakeDaemon) -> None:
        """What went well is shown, what did not is a sentence, and the exit code tells."""
        done = call("pause", "--json", "w1", "off", "nobody", "w2")
        assert done.code == 1
        assert json.loads(done.out) == {"w1": "Paused", "w2": "Paused"}
        assert done.err.splitlines() == [
            "vmcontroller: off is PoweredOff; pause needs it to be Running",
            "vmcontroller: no VM is named nobody",
        ]

    def test_a_pattern_that_matches_nothing_is_told(self, call: Call, daemon: FakeDaemon) -> None:
        """Nothing is done."""
        done = call("rm", "x-*")
        assert (done.code, done.err) == (1, "vmcontroller: no VM matches x-*; vmcontroller list shows them\n")

    def test_start_says_when_the_agent_does_not_answer(self, call: Call, daemon: FakeDaemon, api: FakeApi) -> None:
        """The VM runs all the same; --wait 0 does not ask."""
        daemon.methods["waitForVM"] = lambda vm, timeout: False
        done = call("start", "off")
        assert (done.code, api.vms["off"]) == (1, "Running")
        assert "off was started, but its agent has not answered" in done.err
        api.vms["off"] = "PoweredOff"
        assert call("start", "--wait", "0", "off").code == 0

    def test_stop_says_when_the_guest_goes_on(self, call: Call, daemon: FakeDaemon) -> None:
        """The way out is in the sentence."""
        daemon.methods["shutdown"] = lambda vm: True
        done = call("stop", "--wait", "0.05", "w1")
        assert (done.code, done.out) == (1, "")
        assert done.err == "vmcontroller: w1 is still Running; vmcontroller stop --hard w1 cuts the power\n"


@pytest.mark.usefixtures("daemon")
class TestSnapshots:
    """``snapshot``."""

    def test_take_and_list(self, call: Call) -> None:
        """A name is made where none is given."""
        assert call("snapshot", "take", "w1", "one", "--description", "first").out == "one\n"
        made = call("snapshot", "take", "w1").out.strip()
        head, one, two = call("snapshot", "list", "w1").out.splitlines()
        assert head.split() == ["NAME", "TAKEN", "DESCRIPTION"]
        assert (one.split()[0], one.split()[-1]) == ("one", "first")
        assert two.startswith(made)
        assert len(json.loads(call("snapshot", "list", "--json", "w1").out)) == 2

    def test_restore_and_remove(self, call: Call) -> None:
        """Without a name the newest is restored."""
        assert call("snapshot", "restore", "off").out == "off: PoweredOff\n"
        assert call("snapshot", "rm", "off", "one").code == 0
        assert call("snapshot", "list", "off") == Done(0, "", "vmcontroller: off has no snapshots\n")
        assert call("snapshot", "rm", "nobody", "one").code == 1


class TestCall:
    """``call``."""

    def test_results_are_shown_in_their_own_form(self, call: Call, daemon: FakeDaemon) -> None:
        """Text as it is, octets as they are, all else as JSON."""
        daemon.methods["echo"] = lambda value: value
        assert call("call", "getState", "w1").out == "Running\n"
        assert call("call", "getState", "w1", "--json").out == '"Running"\n'
        assert json.loads(call("call", "echo", '{"a": [1, true]}').out) == {"a": [1, True]}
        daemon.methods["octets"] = lambda: b"\x00\r\n"
        assert call("call", "octets").out == "\x00\n"  # universal newlines of this reader
        assert json.loads(call("call", "--json", "octets").out) == {"base64": "AA0K"}

    @pytest.mark.parametrize(
        ("argv", "says"),
        [
            (["fly"], "there is no method fly"),
            (["getState", "nobody"], "no VM is named nobody"),
            (["getState", "9" * 30], "an argument cannot travel"),
            (["getState", "[null]"], "an argument cannot travel"),
        ],
    )
    def test_what_is_refused_is_one_sentence(self, call: Call, daemon: FakeDaemon, argv: list[str], says: str) -> None:
        """The fault's own."""
        done = call("call", *argv)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert says in done.err


class TestStreams:
    """What happens to what is printed."""

    def test_a_name_that_the_terminal_cannot_show_is_escaped(self, call: Call, daemon: FakeDaemon) -> None:
        """It breaks no verb."""
        daemon.methods["getState"] = lambda vm: b"a\xff"
        assert call("start", "off").out == "off: b'a\\xff'\n"

    def test_a_fault_of_our_own_is_one_sentence_too(self, call: Call, daemon: FakeDaemon) -> None:
        """A daemon of another version may answer anything."""
        daemon.methods["getVM"] = lambda vm: {}
        done = call("list")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("vmcontroller: a fault of its own: KeyError: 'name'; ")

    def test_a_daemon_that_goes_away_is_told(self, call: Call, daemon: FakeDaemon) -> None:
        """With the exit code of a daemon that is not there."""
        daemon.methods["getState"] = hang_up
        done = call("call", "getState", "w1")
        assert (done.code, done.out) == (3, "")
        assert "the daemon went away during getState" in done.err


class TestDaemonVerbs:
    """``stop-daemon``, and daemons that start by themselves."""

    @pytest.mark.parametrize(("argv", "saves"), [([], True), (["--leave-vms"], False)])
    def test_stop_waits_until_it_is_gone(
        self, call: Call, daemon: FakeDaemon, tmp_path: Path, argv: list[str], saves: bool
    ) -> None:
        """The VMs are saved unless that is not wanted."""

        def stop(save: bool) -> bool:
            (tmp_path / "daemon.json").unlink()
            return True

        daemon.methods["stopDaemon"] = stop
        assert call("stop-daemon", *argv).code == 0
        assert daemon.asked("stopDaemon") == [(saves,)]

    def test_a_verb_that_needs_one_starts_one(
        self, call: Call, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says so where no script is disturbed."""
        (tmp_path / "daemon.json").unlink()

        def start(home: Path) -> client.Address | None:
            daemon.write_address(home)
            return client.find(home)

        monkeypatch.setattr(client, "start", start)
        done = call("call", "getState", "w1")
        assert (done.code, done.out) == (0, "Running\n")
        assert done.err.startswith(f"vmcontroller: started a daemon for {tmp_path} (pid ")
