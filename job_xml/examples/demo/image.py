"""The image that VMs of real hypervisors are made from: built once, by ``vmcontroller image build``.

Knows that command, and that its images lie in a state directory's ``images``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .screen import Screen
from .stop import Stop

VMCONTROLLER = [sys.executable, "-P", "-m", "vmcontroller"]


class NoImage(Exception):
    """There is none, and none can be built here; the text says why."""


def provide(state: Path, stop: Stop, screen: Screen) -> Path:
    """The image store of the state directory, with an image named default in it. Raises NoImage."""
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    command = [*VMCONTROLLER, "--state-dir", str(state), "--json", "image"]
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True).stdout
    if not any("default" in image["names"] for image in json.loads(listed)):
        build([*command, "build"], stop, screen)
    return state / "images"


def build(command: list[str], stop: Stop, screen: Screen) -> None:
    """Build one, and show each step."""
    screen.phase("image", "building a Debian guest with the agent inside, once")
    last = "it was interrupted"
    with stop.running(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as builder:
        for line in builder.stderr or ():
            last = line.strip()
            screen.said(last)
    if builder.returncode:
        raise NoImage(f"no image could be built: {last}")
