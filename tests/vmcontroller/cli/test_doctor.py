"""``doctor``: each finding, and what they make together."""

from __future__ import annotations

import json
import os
import sys
import xmlrpc.client
from pathlib import Path

import pytest

from tests.vmcontroller.cli.conftest import Call
from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon
from vmcontroller.cli import doctor
from vmcontroller.cli.doctor import Finding
from vmcontroller.interfaces import Suitability


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent itself is started elsewhere."""
    real = doctor.agent
    monkeypatch.setattr(doctor, "agent", lambda command: real([sys.executable, "-c", ""]))


def test_all_is_well(call: Call, daemon: FakeDaemon, tmp_path: Path) -> None:
    """A line for each, no remedy, exit code 0."""
    tmp_path.chmod(0o700)
    done = call("doctor")
    assert (done.code, done.err, "->" in done.out) == (0, "", False)
    *findings, nothing, summary = done.out.splitlines()
    assert {line.split()[0] for line in findings} <= {"ok", "note"}
    assert (nothing, summary) == ("", "VMs can be run; all is well")
    assert "the hypervisor 'process' can be used" in done.out
    assert "hypervisor fake 1" in done.out
    assert "the agents of all 2 running VMs answer" in done.out


def test_without_a_daemon_the_rest_is_looked_at(call: Call, tmp_path: Path) -> None:
    """That none runs is no failure; none is started."""
    tmp_path.chmod(0o700)
    done = call("doctor")
    assert done.code == 0
    assert "warn  no daemon runs, so its VMs were not looked at\n      -> vmcontroller daemon" in done.out
    assert done.out.endswith("\nVMs can be run; what is marked warn is worth a look (1)\n")
    assert list(tmp_path.iterdir()) == []


def test_as_json(call: Call, daemon: FakeDaemon) -> None:
    """Level, what and remedy of each."""
    first = json.loads(call("doctor", "--json").out)[0]
    assert (first["level"], first["what"].split()[0], first["remedy"]) == ("ok", "Python", "")


def test_an_agent_that_does_not_answer(call: Call, daemon: FakeDaemon, api: FakeApi) -> None:
    """A warning with the VM's name."""
    api.alive.discard("w2")
    done = call("doctor")
    assert done.code == 0
    assert (
        "warn  w2 runs, but its agent does not answer\n      -> vmcontroller stop --hard w2, then vmcontroller start w2"
        in done.out
    )


def test_a_hypervisor_that_does_not_answer(call: Call, daemon: FakeDaemon) -> None:
    """A failure, with its own words."""

    def broken() -> None:
        raise xmlrpc.client.Fault(501, "VBoxSVC is not there")

    daemon.methods["getInfo"] = broken
    done = call("doctor")
    assert done.code == 1
    assert "fail  the hypervisor does not answer: VBoxSVC is not there" in done.out
    assert done.out.endswith("\nVMs cannot be run before what is marked fail has been mended (1)\n")


def test_python() -> None:
    """Too old is a failure."""
    assert doctor.python((3, 11, 0)).level == "ok"
    old = doctor.python((3, 10, 9))
    assert (old.level, old.what) == ("fail", "Python 3.10.9")
    assert old.remedy.startswith("install Python 3.11 or newer, ")


def test_packages() -> None:
    """What is missing is named as pip wants it."""
    missing = doctor.packages(lambda module: module not in ("lxml", "netifaces"))
    remedy = f"{sys.executable} -m pip install netifaces-plus lxml"
    assert missing == Finding("fail", "Python packages are missing: netifaces-plus, lxml", remedy)


def test_hypervisors() -> None:
    """Each says how well it works, or what it needs; one is enough."""
    bad = Suitability(works=False, accelerated=False, reason="install it")
    good = Suitability(works=True, accelerated=False, reason="it is there")
    first, second = doctor.hypervisors({"bad": bad, "good": good})
    assert (first.level, first.what) == ("note", "the hypervisor 'bad' cannot be used: install it")
    assert (second.level, second.what) == ("ok", "the hypervisor 'good' can be used: it is there")
    assert [finding.level for finding in doctor.hypervisors({"bad": bad, "worse": bad})] == ["fail", "fail"]


@pytest.mark.parametrize(("free", "level"), [(10**12, "ok"), (10**9, "warn"), (10**7, "fail")])
def test_disk(free: int, level: str) -> None:
    """Below the daemon's own bound it is a failure."""
    assert doctor.disk(free, Path("/vms")).level == level


class TestStateDirectory:
    """Where all state lies."""

    def test_it_need_not_exist_yet(self, tmp_path: Path) -> None:
        """If it can be made."""
        assert doctor.state_directory(tmp_path / "a" / "b").level == "ok"

    def test_a_file_is_none(self, tmp_path: Path) -> None:
        """A failure with a way out."""
        (tmp_path / "file").write_text("")
        finding = doctor.state_directory(tmp_path / "file" / "x")
        assert (finding.level, finding.remedy.startswith("choose another with --state-dir")) == ("fail", True)

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
    def test_it_cannot_be_made(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even by root; of a disk that it is not on nothing is said."""
        monkeypatch.setenv("VMCONTROLLER_STATE_DIR", "/proc/vmcontroller")
        done = call("doctor")
        assert "fail  the state directory /proc/vmcontroller cannot be written\n" in done.out
        assert " are free on the disk" not in done.out

    @pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
    def test_it_should_be_its_owners_alone(self, tmp_path: Path) -> None:
        """The remedy can be pasted."""
        tmp_path.chmod(0o755)
        assert doctor.state_directory(tmp_path).remedy == f"chmod 700 {tmp_path}"

    def test_no_home(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        """One more finding, not a fault."""
        monkeypatch.delenv("VMCONTROLLER_STATE_DIR")
        monkeypatch.setattr("vmcontroller.client.daemons.user_state_path", lambda *_, **__: Path("~/x"))
        done = call("doctor")
        assert (done.code, done.err) == (1, "")
        assert "fail  there is no home directory; name a state directory with --state-dir" in done.out


class TestAgent:
    """Whether the guest agent starts."""

    @pytest.fixture(autouse=True)
    def real(self, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
        """The function itself."""
        monkeypatch.undo()

    def test_it_says_why_not(self) -> None:
        """The last line that it wrote."""
        finding = doctor.agent([sys.executable, "-c", "import no_such_module"])
        assert finding.level == "fail"
        assert finding.what.endswith("No module named 'no_such_module'")
        assert doctor.agent([sys.executable, "-c", "exit(3)"]).what.endswith("exit code 3")
        assert doctor.agent(["/no/such/python"]).level == "fail"
