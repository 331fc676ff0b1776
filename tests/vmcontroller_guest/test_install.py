"""The agent installs itself into a system, or says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.users import plain_user
from vmcontroller.images.debian import payload
from vmcontroller_guest import install

pytestmark = pytest.mark.skipif(os.name != "posix", reason="systems with systemd are Unix")


def test_written(tmp_path: Path) -> None:
    """Agent, program and unit are in their places; a second time replaces what an older one left."""
    old = tmp_path / install.HOME / "vmcontroller_guest" / "old.py"
    old.parent.mkdir(parents=True)
    old.write_text("")
    for _ in range(2):
        install.write(tmp_path)
    assert not old.exists()
    assert os.access(tmp_path / install.PROGRAM, os.X_OK)
    unit = (tmp_path / install.UNIT).read_text()
    assert f"ExecStart=/{install.PROGRAM}\n" in unit
    assert "Restart=always" in unit


def test_what_is_installed_runs(tmp_path: Path) -> None:
    """From what user-data brings: the agent's own modules, and nothing of the host's."""
    for source, name in payload.agent():
        (tmp_path / "brought" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "brought" / name).write_bytes(source.read_bytes())
    brought = tmp_path / "brought" / payload.HOME
    script = f"from pathlib import Path; from vmcontroller_guest.install import write; write(Path({str(tmp_path)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(brought)}
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True)
    environment["PYTHONPATH"] = str(tmp_path / install.HOME)
    command = [sys.executable, "-m", "vmcontroller_guest", "--help"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--install" in done.stdout


def test_missing() -> None:
    """Packages are named as Debian names them; an old Python is told first."""
    with pytest.raises(install.CannotInstall, match=r"Python 3\.11"):
        install.check((3, 9), [])
    install.check((3, 12), ["twisted", "stomper"])


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are missing, and no others."""
    monkeypatch.setattr(install, "_is_there", lambda module: module != "stomper")
    with pytest.raises(install.CannotInstall, match="apt install python3-stomper"):
        install.check((3, 11), ["twisted", "stomper"])


def test_no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is written."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(install, "write", lambda root: pytest.fail("it was written"))
    with pytest.raises(SystemExit, match="has no systemd"):
        install.main()


def test_not_root() -> None:
    """One sentence says to be root."""
    with plain_user() as home:
        home.chmod(0o500)
        with pytest.raises(SystemExit, match="install as root"):
            install.main(home)
