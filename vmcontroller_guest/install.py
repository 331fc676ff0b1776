"""``vmcontroller-guest --install``: makes the agent a service of the system that it runs in, with systemd. Linux only.

For images that others made; the image that ``vmcontroller image build`` makes has its own, smaller way.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HOME = "usr/lib/vmcontroller"
PROGRAM = "usr/local/sbin/vmcontroller-guest"
UNIT = "etc/systemd/system/vmcontroller-guest.service"
_NEEDED = {"twisted": "python3-twisted", "zope.interface": "python3-zope.interface", "stomper": "python3-stomper"}
_OLDEST_PYTHON = (3, 11)
_PACKAGES = Path(__file__).parents[1]

#: KillMode: the agent ends its commands itself, and says BYE before that.
_UNIT_TEXT = """\
[Unit]
Description=VM Controller's guest agent
After=local-fs.target

[Service]
ExecStart=/usr/local/sbin/vmcontroller-guest
KillMode=mixed
Restart=always
RestartSec=1
TimeoutStopSec=30
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""
_PROGRAM_TEXT = """\
#!/bin/sh
PYTHONPATH=/usr/lib/vmcontroller exec {python} -m vmcontroller_guest "$@"
"""


class CannotInstall(Exception):
    """Something is missing; the text is a sentence that says what to do."""


def main(root: Path = Path("/")) -> None:
    """Install below ``root``, and start the service where that is this system; SystemExit with a sentence if not."""
    try:
        check(sys.version_info[:2], _NEEDED)
        if root == Path("/"):
            _demand_systemd()
        write(root)
        if root == Path("/"):
            _start()
    except CannotInstall as error:
        sys.exit(f"vmcontroller-guest: {error}")
    except OSError as error:
        sys.exit(f"vmcontroller-guest: {error.filename}: {error.strerror}; install as root")


def check(version: tuple[int, ...], modules: Iterable[str]) -> None:
    """CannotInstall unless Python and what is imported are there."""
    if version < _OLDEST_PYTHON:
        raise CannotInstall("Python 3.11 or newer is needed in the guest; use an image that has it")
    missing = [_NEEDED[name] for name in modules if not _is_there(name)]
    if missing:
        raise CannotInstall(f"packages are missing: apt install {' '.join(missing)}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _demand_systemd() -> None:
    if shutil.which("systemctl") is None:
        raise CannotInstall("this system has no systemd; start the agent by an init of your own: vmcontroller-guest")


def write(root: Path) -> None:
    """Put the agent, its program and its unit in their places. OSError."""
    home = root / HOME
    if home.resolve() != _PACKAGES:
        for package in ("vmcontroller", "vmcontroller_guest"):
            _copy(_PACKAGES / package, home / package)
    _put(root / PROGRAM, _PROGRAM_TEXT.format(python=sys.executable), 0o755)
    _put(root / UNIT, _UNIT_TEXT, 0o644)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _put(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _start() -> None:
    for command in (("daemon-reload",), ("enable", "vmcontroller-guest"), ("restart", "vmcontroller-guest")):
        done = subprocess.run(("systemctl", *command), capture_output=True, text=True, env=os.environ, check=False)
        if done.returncode != 0:
            raise CannotInstall(f"systemctl {command[0]} failed: {' '.join(done.stderr.split())}; is systemd running?")
