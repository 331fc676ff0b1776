"""Where the demo plays: a temporary directory with a slot for the job and a state directory for the daemon.

Knows the wrapper's options and its environment. Nothing of a stage is left when its block has ended.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .clearing import end_all


class Stage:
    """The directories of one run, and the hypervisor that plays in them."""

    def __init__(self, hypervisor: str = "process") -> None:
        self._hypervisor = hypervisor
        self._root = Path(tempfile.mkdtemp(prefix="vmcontroller-demo-"))
        self.slot = self._root / "slot"
        self.state = self._root / "state"
        self.temporary = self._root / "tmp"
        self.log = self._root / "vmwrapper.log"

    def __enter__(self) -> Stage:
        for directory in (self.slot, self.state, self.temporary):
            directory.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        end_all(self._root, self.state)
        shutil.rmtree(self._root)

    def share_images(self, images: Path) -> None:
        """Let the daemon use the image store of another state directory."""
        (self.state / "images").symlink_to(images)

    def lay_out(self, example: Path, files: dict[str, Path]) -> None:
        """Fill the slot as a BOINC client does: the example's files, and `files` under the names that the job knows."""
        shutil.copytree(example, self.slot, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for name, path in files.items():
            shutil.copyfile(path, self.slot / name)

    def command(self, passthrough: Sequence[str]) -> list[str]:
        """The wrapper's command line; `passthrough` goes on to the program in the VM."""
        wrapper = [sys.executable, "-P", "-m", "wrapper", "--state-dir", str(self.state), "--events", "-"]
        return [*wrapper, "--passthrough_child", *passthrough]

    def environment(self) -> dict[str, str]:
        """The wrapper's, and so the daemon's and its VMs': our Python first, our directory for temporary files."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VMCONTROLLER_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return ours | {"PATH": path, "TMPDIR": str(self.temporary), "VMCONTROLLER_HYPERVISOR": self._hypervisor}
