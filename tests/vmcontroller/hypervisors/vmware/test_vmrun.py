"""The program vmrun is called, heard, and not believed for too long."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contracts import stand_in_vmrun
from vmcontroller.errors import DiskFull, HypervisorFailed, HypervisorMissing
from vmcontroller.hypervisors.vmware import vmrun
from vmcontroller.hypervisors.vmware.drive import VmrunDrive
from vmcontroller.hypervisors.vmware.vmrun import Vmrun


def saying(script: str, patience: float = 60.0) -> Vmrun:
    """A vmrun that is this Python script."""
    return Vmrun((sys.executable, "-c", script), "ws", patience)


def test_version(tmp_path: Path) -> None:
    """It stands in the usage, whatever the exit code."""
    assert Vmrun((sys.executable, stand_in_vmrun.__file__, str(tmp_path))).version() == "1.17.0"
    assert saying("print('hello')").version() == "of unknown version"


def test_its_own_words() -> None:
    """They are what the caller hears; without any the exit code is."""
    with pytest.raises(HypervisorFailed, match="vmrun start: Error: The file is already in use"):
        saying("print('Error: The file\\nis already in use'); exit(255)").tell("start", Path("/x.vmx"), "nogui")
    with pytest.raises(HypervisorFailed, match="vmrun reset: exit code 3"):
        saying("exit(3)").tell("reset", Path("/x.vmx"))


def test_full_disk() -> None:
    """It has a fault of its own."""
    with pytest.raises(DiskFull):
        saying("print('Error: No space left on device'); exit(255)").tell("snapshot", Path("/x.vmx"), "s")


def test_one_that_hangs() -> None:
    """It is ended, and that is told."""
    with pytest.raises(HypervisorFailed, match=r"no answer in 0.2 s"):
        saying("import time; time.sleep(60)", 0.2).check()


def test_a_guest_that_takes_its_time(tmp_path: Path) -> None:
    """vmrun waits for the guest to shut down; the button was pressed all the same."""
    VmrunDrive(saying("import time; time.sleep(60)"), tmp_path, press_patience=0.2).press()
    with pytest.raises(HypervisorFailed, match="Tools"):
        VmrunDrive(saying("print('Error: VMware Tools are not running'); exit(255)"), tmp_path).press()


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What to install is said, here and where it has gone since."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HypervisorMissing, match="install VMware Workstation Pro or VMware Fusion"):
        Vmrun().check()
    with pytest.raises(HypervisorMissing, match="cannot be run"):
        Vmrun((str(tmp_path / "vmrun"),)).check()


def test_found_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PATH goes first."""
    program = tmp_path / "vmrun"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vmrun.find() == str(program)


def test_running(tmp_path: Path) -> None:
    """Paths are compared as the files that they name; a list is asked for again after each deed."""
    log = tmp_path / "log"
    (tmp_path / "link").symlink_to(tmp_path)
    note = f"import sys; open({str(log)!r}, 'a').write(sys.argv[3] + ' ')"
    script = f"{note}; print('Total running VMs: 1\\n{tmp_path}/a.vmx')"
    program = saying(script)
    assert program.is_running(tmp_path / "link" / "a.vmx")
    assert not program.is_running(tmp_path / "b.vmx")
    assert log.read_text().split() == ["list"]
    program.tell("stop", tmp_path / "a.vmx", "hard")
    assert program.is_running(tmp_path / "a.vmx")
    assert log.read_text().split() == ["list", "stop", "list"]
