"""Commands as callers see them, through the methods of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from tests.vmcontroller.doubles import NOW, Host, result, results
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.api.commands import CommandMethods
from vmcontroller.errors import BadRequest, NotInAudience, UnknownCommand, UnknownVM
from vmcontroller.machine import Machine, MachineState
from vmcontroller.machines import Machines
from vmcontroller.results import Results
from vmcontroller.wire.words import RU_FIELDS, Bye, CmdAccepted, CmdOutput, CmdRun, CommandReport, Pong, StillAlive


@pytest.fixture
def api(host: Host) -> CommandMethods:
    """The methods, for a host with the VMs A and B whose ids are a and b."""
    hypervisor = MemoryHypervisor()
    for vm in ("a", "b"):
        hypervisor.vms[vm] = Machine(vm, vm.upper(), "default", MachineState.RUNNING)
    nobody: Any = None
    machines = Machines(hypervisor, host.ledger, host.controller, nobody, nobody, nobody, nobody, {}, nobody, False)
    its_results = Results(host.ledger, host.outputs, host.controller.guests)
    return CommandMethods(machines, host.controller, host.ledger, its_results)


class TestRun:
    """What was asked for reaches the guest in one form."""

    def test_as_in_2009(self, host: Host, api: CommandMethods) -> None:
        """env as the text '{}', path as the text 'None', all arguments in one string."""
        cmd_id = result(api.runCmd("A", "/bin/x", "a b", "{}", "None", ""))
        ((to, run),) = host.said(CmdRun)
        assert (to, run.cmd_id, run.args, run.env, run.path) == ("a", cmd_id, ("a b",), {}, "")
        assert run.stdin.kind == "none"

    def test_options(self, host: Host, api: CommandMethods) -> None:
        """A chosen id, limits, input."""
        options = {"cmdId": "mine", "limits": {"seconds": 2}, "stdin": "abc", "replay": True}
        assert result(api.runCmd("A", "/bin/x", ["1", 2], {"K": "V"}, "/tmp", "", options)) == "mine"
        ((_, run),) = host.said(CmdRun)
        assert (run.args, run.env, run.path, run.limits.seconds) == (("1", "2"), {"K": "V"}, "/tmp", 2.0)
        assert (run.stdin.kind, run.stdin.data) == ("inline", "YWJj")
        details = api.getCmdDetails("mine")
        assert (details["replay"], details["limits"], details["timestamp"]) == (True, {"seconds": 2}, NOW)

    def test_asked_twice(self, host: Host, api: CommandMethods) -> None:
        """Who lost the answer asks again, even if the VM sleeps by now."""
        result(api.runCmd("A", "/bin/x", [], {}, "", "", {"cmdId": "mine"}))
        host.hear("a", Bye())
        assert result(api.runCmd("A", "/bin/x", [], {}, "", "", {"cmdId": "mine"})) == "mine"

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"colour": 1}, "colour is no option; there are cmdId"),
            ({"limits": 1}, "the option limits must be a struct"),
            ({"limits": {"seconds": "2"}}, "seconds is not a number"),
            ({"stdin": 1}, "the option stdin must be"),
            ({"cmdId": "a/b"}, "is not a command id"),
        ],
    )
    def test_wrong_options(self, api: CommandMethods, options: dict[str, Any], why: str) -> None:
        """What is wrong is named."""
        with pytest.raises(BadRequest, match=why):
            result(api.runCmd("A", "/bin/x", [], {}, "", "", options))
        assert api.listCmds() == []

    def test_ping(self, host: Host, api: CommandMethods) -> None:
        """PONG from who was asked; a wait that is over before it begins is refused."""
        asked = ensureDeferred(api.ping("a"))
        ((_, ping),) = host.said()
        host.hear("a", Pong(ping.ping_id, ping.timestamp))
        assert result(asked) == "PONG from A"
        with pytest.raises(BadRequest, match="must not be negative"):
            result(api.ping("a", -1.0))


class TestResults:
    """How commands ended."""

    def test_of_one(self, host: Host, api: CommandMethods) -> None:
        """The dictionary of 2009; "" while there is none."""
        host.run("c", "a")
        assert result(api.getCmdResults("c")) == ""
        host.hear("a", results("c", b"hello"))
        told = result(api.getCmdResults("c"))
        assert (told["out"], told["err"], told["finished"], told["exitCodeOrSignal"]) == (b"hello", b"", True, 0)
        assert set(told["resources"]) == set(RU_FIELDS)

    def test_read_once_kept_for_ever(self, host: Host, api: CommandMethods) -> None:
        """Reading takes it off the list of the unread and destroys nothing."""
        host.run("c", "a")
        host.hear("a", results("c", b"hello"))
        assert api.listFinishedCmds() == ["c"]
        assert result(api.getCmdResults("c")) == result(api.getCmdResults("c"))
        assert api.listFinishedCmds() == []
        assert api.getCmdDetails("c")["read"] is True

    def test_of_several(self, host: Host, api: CommandMethods) -> None:
        """All when all are in, one earlier."""
        host.run("c", "a", "b")
        host.hear("a", results("c", b"from a"))
        assert result(api.getCmdResults("c")) == ""
        assert result(api.getCmdResults("c", "A"))["out"] == b"from a"
        assert api.listFinishedCmds() == []
        host.hear("b", results("c", b"from b"))
        told = result(api.getCmdResults("c"))
        assert {name: of_one["out"] for name, of_one in told.items()} == {"A": b"from a", "B": b"from b"}

    def test_pattern_that_one_matched(self, host: Host, api: CommandMethods) -> None:
        """Who asked by a pattern gets a struct of results, however many they are."""
        host.hear("b", Bye())
        cmd_id = result(api.runCmd("*", "/bin/x"))
        host.hear("a", results(cmd_id))
        assert list(result(api.getCmdResults(cmd_id))) == ["A"]
        assert result(api.getCmdResults(cmd_id, "a"))["outcome"] == "exited"

    def test_waiting(self, host: Host, api: CommandMethods) -> None:
        """Until the end, or so many seconds."""
        host.run("c", "a")
        short = ensureDeferred(api.waitForCmd("c", 1.0))
        long = ensureDeferred(api.getCmdResults("c", "", 60.0))
        host.clock.advance(1)
        assert result(short) == {"finished": False, "waiting": ["A"]}
        host.hear("a", results("c", b"hello"))
        assert result(long)["out"] == b"hello"

    def test_vm_is_stopped(self, host: Host, api: CommandMethods) -> None:
        """No outcome is made up: it is waited for, and the details say that nobody is there."""
        host.run("c", "a")
        host.hear("a", CmdAccepted("c"))
        host.controller.stopped("a")
        waiting = ensureDeferred(api.waitForCmd("c", 60.0))
        part = api.getCmdDetails("c")["parts"]["A"]
        assert (part["state"], part["outcome"], part["alive"]) == ("accepted", "", False)
        host.join("a", nonce="again", commands={"c": CommandReport("dead")})
        host.hear("a", results("c", outcome="lost", exit_code_or_signal=-1))
        assert result(waiting) == {"finished": True, "waiting": []}
        assert result(api.getCmdResults("c"))["outcome"] == "lost"

    def test_unknown(self, host: Host, api: CommandMethods) -> None:
        """ "" as in 2009 for a result that there is not; a fault for all else, and for a VM that was not asked."""
        host.run("c", "a")
        assert result(api.getCmdResults("x")) == ""
        for call in (lambda: result(api.waitForCmd("x", 1.0)), lambda: api.getCmdDetails("x")):
            with pytest.raises(UnknownCommand, match="listCmds"):
                call()
        with pytest.raises(NotInAudience, match="it was sent to A"):
            result(api.waitForCmd("c", 1.0, "B"))


class TestOutput:
    """What was printed, also while it runs."""

    @pytest.fixture
    def printing(self, host: Host) -> Host:
        host.run("c", "a")
        host.hear("a", CmdOutput("c", "out", 0, b"abcdef"))
        return host

    def test_piece(self, printing: Host, api: CommandMethods) -> None:
        """By offset and length; beyond the end there is nothing."""
        assert api.getCmdOutput("c", "out", 2, 3).data == b"cde"
        assert api.getCmdOutput("c", "out", 9, 3).data == b""
        assert api.getCmdOutput("c", "err", 0, 3).data == b""

    def test_piece_of_inline(self, host: Host, api: CommandMethods) -> None:
        """The same for output that came with the result."""
        host.run("c", "a")
        host.hear("a", results("c", b"abcdef"))
        assert api.getCmdOutput("c", "out", 2, 3).data == b"cde"

    def test_waiting_for_more(self, printing: Host, api: CommandMethods) -> None:
        """Until there is some, or none will come."""
        waiting = ensureDeferred(api.waitForOutput("c", 6, 0, 60.0))
        assert not waiting.called
        printing.hear("a", CmdOutput("c", "out", 6, b"gh"))
        told = result(waiting)
        assert (told["out"].data, told["ended"]) == (b"gh", False)
        waiting = ensureDeferred(api.waitForOutput("c", 8, 0, 60.0))
        printing.hear("a", results("c", b"abcdefgh", along=False))
        told = result(waiting)
        assert (told["out"].data, told["ended"]) == (b"", True)

    def test_time_is_up(self, printing: Host, api: CommandMethods) -> None:
        """Nothing came; it may still."""
        waiting = ensureDeferred(api.waitForOutput("c", 6, 0, 1.0))
        printing.clock.advance(1)
        assert result(waiting)["ended"] is False

    @pytest.mark.parametrize(
        "call",
        [
            lambda api: api.getCmdOutput("c", "stdin", 0, 1),
            lambda api: api.getCmdOutput("c", "out", -1, 1),
            lambda api: api.getCmdOutput("c", "out", 0, -1),
            lambda api: result(api.waitForOutput("c", -1, 0, 1.0)),
        ],
    )
    def test_wrong(self, printing: Host, api: CommandMethods, call: Callable[[CommandMethods], Any]) -> None:
        """Another stream, or before the beginning."""
        with pytest.raises(BadRequest):
            call(api)

    def test_several_vms(self, host: Host, api: CommandMethods) -> None:
        """One has to be named."""
        host.run("c", "a", "b")
        with pytest.raises(UnknownVM, match="name one of A, B"):
            api.getCmdOutput("c", "out", 0, 1)
        assert api.getCmdOutput("c", "out", 0, 1, "b").data == b""


class TestLists:
    """Which commands there are."""

    def test_details(self, host: Host, api: CommandMethods) -> None:
        """What was asked, and how far it is: what it uses while it runs, and used when it has ended."""
        host.run("c", "a", args=("1",), env={"K": "V"})
        host.hear("a", CmdAccepted("c"))
        host.hear("a", CmdOutput("c", "err", 0, b"oh"))
        host.hear("a", StillAlive(commands={"c": {"ru_utime": 2.5}}))
        details = api.getCmdDetails("c")
        assert (details["cmd"], details["args"], details["env"]) == ("/bin/x", ["1"], {"K": "V"})
        assert details["parts"]["A"] == {
            "id": "a",
            "alive": True,
            "state": "accepted",
            "out": 0,
            "err": 2,
            "outcome": "",
            "exitCodeOrSignal": -1,
            "reason": "",
            "resources": {"ru_utime": 2.5},
        }
        host.hear("a", results("c", outcome="signalled", exit_code_or_signal=9, resources={"ru_utime": 3.0}))
        part = api.getCmdDetails("c")["parts"]["A"]
        assert (part["outcome"], part["exitCodeOrSignal"], part["resources"]) == ("signalled", 9, {"ru_utime": 3.0})

    def test_filters(self, host: Host, api: CommandMethods) -> None:
        """By VM, state, group, and whether they have ended everywhere."""
        host.run("ended", "a")
        host.run("both", "a", "b")
        host.run("other", "b", group="g")
        host.hear("a", results("ended"))
        host.hear("a", results("both"))

        def found(**wanted: Any) -> list[str]:
            return [details["cmdId"] for details in api.listCmds(wanted)]

        assert found() == ["ended", "both", "other"]
        assert found(vm="A") == found(vm="a") == ["ended", "both"]
        assert found(finished=True) == ["ended"]
        assert found(finished=False) == ["both", "other"]
        assert found(state="sent") == ["both", "other"]
        assert found(state="exited", vm="b") == []
        assert found(group="g") == ["other"]

    @pytest.mark.parametrize("wanted", [{"colour": 1}, {"state": "gone"}])
    def test_wrong_filters(self, api: CommandMethods, wanted: dict[str, Any]) -> None:
        """The sentence names those that there are."""
        with pytest.raises(BadRequest, match="listCmds: "):
            api.listCmds(wanted)

    def test_foreign(self, host: Host, api: CommandMethods) -> None:
        """With the name of the VM, and whether it was killed."""
        host.join("a", nonce="with", commands={"x": CommandReport("running")})
        told = {"vm": "A", "cmdId": "x", "state": "running", "killed": False}
        assert api.listForeignCmds() == [told]
        assert result(api.killForeignCmd("A", "x")) is True
        assert api.listForeignCmds() == [{**told, "killed": True}]


@pytest.mark.parametrize("number", [0, -9, 65])
def test_no_signal(api: CommandMethods, host: Host, number: int) -> None:
    """A number that is none."""
    host.run("c", "a")
    with pytest.raises(BadRequest, match="is no signal"):
        result(api.signalCmd("c", number))
