"""The API's sentences in the words of the command line."""

from __future__ import annotations

import xmlrpc.client

import pytest

from tests.vmcontroller.cli.conftest import Call
from tests.vmcontroller.fake_daemon import FakeDaemon
from vmcontroller.cli.wording import in_verbs


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("no VM is called 'x'; listVMs() names all", "no VM is called 'x'; vmcontroller list names all"),
        ("no command 'x'; listCmds() names all", "no command 'x'; vmcontroller call listCmds names all"),
        ("system.listMethods() names all", "vmcontroller call help names all"),
        ("no 'x'; listSnapshots tells which", "no 'x'; vmcontroller snapshot list tells which"),
        ("w 1 is PoweredOff; start('w 1') runs it", "w 1 is PoweredOff; vmcontroller start 'w 1' runs it"),
        ("c runs; signalCmd('c', 9) ends it", "c runs; vmcontroller call signalCmd 'c' 9 ends it"),
        ("createVM: cpus must lie between 1 and 256", "createVM: cpus must lie between 1 and 256"),
        ("f() is not a method, nor is main()", "f() is not a method, nor is main()"),
    ],
)
def test_methods_become_verbs(sentence: str, told: str) -> None:
    """Those that a verb tells, too, become that verb; others are called."""
    assert in_verbs(sentence) == told


def test_faults_are_told_so(call: Call, daemon: FakeDaemon) -> None:
    """Whether one VM was meant or several."""

    def unknown(vm: str) -> None:
        raise xmlrpc.client.Fault(200, f"no VM is called {vm!r}; listVMs() names all that exist")

    daemon.methods |= {"getState": unknown, "pause": unknown}
    told = "vmcontroller: no VM is called 'x'; vmcontroller list names all that exist\n"
    assert call("call", "getState", "x").err == told
    assert call("pause", "x").err == told
