"""PYTHIA's wheel, from the Python package index into a cache directory, once.

Knows pip and no host. PYTHIA is a program of 90 MB that only this demo needs: not a dependency of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .stop import Stop

DISTRIBUTION = "pythia8mc"
#: Only a release that has a wheel for this Python and this machine; building PYTHIA takes a compiler and minutes.
DOWNLOAD = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--retries", "1", "--timeout", "20"]


class NoWheel(Exception):
    """There is none for this Python and this machine, or the index is out of reach; the text says so."""


def wheel(cache: Path, stop: Stop, python: str | None = None) -> Path:
    """The wheel's path, fetched now if the cache does not hold it. Raises NoWheel.

    It is for this Python, or for the version ``python`` ("3.11") where the program will run under another one.
    """
    tag = f"cpython-{python.replace('.', '')}" if python else sys.implementation.cache_tag
    directory = (cache / tag).absolute()
    return held(directory) or download(directory, stop, ["--python-version", python] if python else [])


def held(directory: Path) -> Path | None:
    """The newest wheel in a directory."""
    return max(directory.glob(f"{DISTRIBUTION}-*.whl"), key=lambda path: path.stat().st_mtime, default=None)


def download(directory: Path, stop: Stop, options: Sequence[str] = ()) -> Path:
    """Let pip choose and fetch a wheel; it appears in the cache when it is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as fresh:
        command = [sys.executable, "-m", "pip", *DOWNLOAD, *options, "--dest", fresh, DISTRIBUTION]
        environment = os.environ | {"TMPDIR": fresh, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        with stop.running(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as pip:
            complaint = pip.stderr.read() if pip.stderr else ""
        path = held(Path(fresh))
        if path is None:
            raise NoWheel(f"no wheel for this Python, or no way to the package index: {reason(complaint)}")
        return path.rename(directory / path.name)


def reason(complaint: str) -> str:
    """What pip's last error line says."""
    errors = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.startswith("ERROR: ")]
    return errors[-1] if errors else (complaint.strip().splitlines() or ["pip said nothing"])[-1]
