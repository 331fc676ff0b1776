"""The defects of 2009 that only the whole way shows: 7, 9, 10, 11 and 19. The others stand beside the part they are of.

| defects | where |
|---|---|
| 1 to 5, 8, 18 | tests/vmcontroller_guest/test_defects.py |
| 7, the tables that grow | tests/vmcontroller/test_expiry.py |
| 6, 12, 13 | tests/peers/ and tests/vmcontroller_guest/, by their names |
| 14 to 18 | tests/wrapper/test_defects.py |
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.loopback.house import DEADLINE, House, house, wait_for
from vmcontroller.client import ApiFault

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("home") / "state") as lived:
        lived.vms("one", "two")
        yield lived


def test_defect_07_results_only_in_memory(home: House) -> None:
    """A result survives the daemon, reading it destroys nothing, and forgetting frees it."""
    cmd_id = home.run("one", "echo", "kept")
    home.call("waitForCmd", cmd_id, DEADLINE)
    home.kill_daemon()
    home.restart()
    assert cmd_id in home.call("listFinishedCmds")
    assert [home.call("getCmdResults", cmd_id)["out"] for _ in range(2)] == ["kept\n", "kept\n"]
    home.call("forgetCmd", cmd_id)
    assert all(details["cmdId"] != cmd_id for details in home.call("listCmds"))
    assert not (home.state / "cmds" / cmd_id).exists()
    assert home.call("waitForVM", "one", DEADLINE)
    assert home.call("waitForVM", "two", DEADLINE)


def test_defect_09_run_cmd_returns_the_id(home: House) -> None:
    """runCmd answers at once with an id that leads to the result."""
    cmd_id = home.call("runCmd", "one", "true")
    assert cmd_id
    assert home.result(cmd_id)["exitCodeOrSignal"] == 0


def test_defect_10_late_pong(home: House) -> None:
    """A PONG that comes when nobody waits any more harms nothing: the next PING is answered by its own."""
    agent = home.agent("one")
    agent.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ApiFault) as caught:
            home.call("ping", "one", 0.3)
        assert caught.value.code == 204
    finally:
        agent.send_signal(signal.SIGCONT)
    assert home.call("ping", "one", DEADLINE) == "PONG from one"


def test_defect_11_wildcards(home: House) -> None:
    """One message for several guests: each answers, and the first answer does not retire the command."""
    cmd_id = home.run("*", "/bin/sh", "-c", "echo $VMCONTROLLER_ID")
    results = home.result(cmd_id)
    ids = home.call("getNamesToIdsMapping")
    assert {name: result["out"].strip() for name, result in results.items()} == ids


def test_defect_19_vm_made_later(home: House) -> None:
    """A VM that is made while the daemon runs is known at once, under its name and its id."""
    home.vm("made later")
    its_id = home.call("getNamesToIdsMapping")["made later"]
    assert home.call("ping", "made later", DEADLINE) == home.call("ping", its_id, DEADLINE) == "PONG from made later"
    assert home.shell("made later", "echo here")["out"] == "here\n"
    home.call("removeVM", "made later")
    assert "made later" not in home.call("listVMs")


def test_many_callers_side_by_side(home: House) -> None:
    """Callers that wait do not hold up others."""
    waiting = home.run("one", "sleep", "1000")
    others = [threading.Thread(target=_wait, args=(home, waiting)) for _ in range(10)]
    for thread in others:
        thread.start()
    assert home.shell("two", "echo quick")["out"] == "quick\n"
    home.call("signalCmd", waiting, 9)
    for thread in others:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def _wait(home: House, cmd_id: str) -> None:
    with home.client.another() as its_client:
        assert its_client.call("waitForCmd", cmd_id, DEADLINE)["finished"]


def test_lease_runs_out(home: House) -> None:
    """A VM whose lease is not renewed is saved; one whose lease is, runs on."""
    lost, kept = home.call("openLease", "lost", 1.0), home.call("openLease", "kept", 60.0)
    home.vm("leased lost", lease=lost)
    home.vm("leased kept", lease=kept)
    wait_for(lambda: home.call("getState", "leased lost") == "Saved", "the VM was not saved")
    assert home.call("getState", "leased kept") == "Running"
    with pytest.raises(ApiFault) as caught:
        home.call("renewLease", lost)
    assert caught.value.code == 700
    assert home.call("renewLease", kept) is True
    home.call("closeLease", kept)
    assert home.call("getState", "leased kept") == "Saved"


def test_a_lease_takes_up_a_vm_that_exists(home: House) -> None:
    """Whoever comes next puts the VM under a lease of his own; the end of the old one does not touch it then."""
    first, second = home.call("openLease", "first", 60.0), home.call("openLease", "second", 60.0)
    home.vm("handed on", lease=first)
    assert home.call("leaseVM", second, "handed on") is True
    home.call("closeLease", first)
    assert home.call("getState", "handed on") == "Running"
    home.call("closeLease", second)
    assert home.call("getState", "handed on") == "Saved"
