"""What cloud-init runs in somebody else's image, run: in this system's own files, on a layer that is thrown away."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vmcontroller.images import adopt
from vmcontroller_guest import install

#: $1: a directory to work in, $2: files to begin with, $3: for those that there are in the end; the rest is a command.
_IN_A_COPY = """
set -e
place=$1 given=$2 left=$3
shift 3
mount -t tmpfs none "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" none "$place/root" || exit 77
mount --bind /dev "$place/root/dev"
cp -a "$given/." "$place/root/"
chroot "$place/root" "$@"
cp -a "$place/upper" "$left"
"""
_CANNOT = 77
#: In place of systemd: notes what it is told, and a service that is started keeps a journal.
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> /told
[ "$1" != restart ] || mkdir -p /var/lib/vmcontroller-guest/journal
"""


def test_it_installs_the_agent(tmp_path: Path) -> None:
    """Agent and service are there, cloud-init rests, and nothing is left of the way or of this machine's journal."""
    told = json.loads(adopt.user_data().partition("\n")[2])
    (file,), (command,) = told["write_files"], told["runcmd"]
    given = tmp_path / "given"
    _write(given / file["path"].lstrip("/"), base64.b64decode(file["content"]))
    _write(given / "opt/bin/python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n'.encode(), 0o755)
    _write(given / "opt/bin/systemctl", _SYSTEMCTL.encode(), 0o755)
    (given / "etc" / "cloud").mkdir(parents=True)
    left = _run(tmp_path, given, command)
    assert (left / install.HOME / "vmcontroller_guest" / "agent.py").is_file()
    assert (left / install.UNIT).is_file()
    assert (left / "etc/cloud/cloud-init.disabled").is_file()
    assert not (left / file["path"].lstrip("/")).exists()
    assert not (left / "var/lib/vmcontroller-guest").exists()
    verbs = [line.split()[0] for line in (left / "told").read_text().splitlines()]
    assert verbs == ["daemon-reload", "enable", "restart", "stop"]


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _run(place: Path, given: Path, command: list[str]) -> Path:
    """Run a command in a copy of this system that has these files, too; what it left of them, and its own."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("to lay a copy over this system the test needs root and the Debian packages util-linux and mount")
    places = (place / "copy", given, place / "left")
    places[0].mkdir()
    environment = {"PATH": f"/opt/bin:{os.environ['PATH']}"}
    words = ["unshare", "--mount", "sh", "-c", _IN_A_COPY, "sh", *map(str, places), *command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == _CANNOT:
        pytest.skip(f"this system lets nobody lay a copy over it: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return places[2]
