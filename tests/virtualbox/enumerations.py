"""Makes enumerations.json anew: how each release of VirtualBox numbers what the plugin speaks of.

    python -m tests.virtualbox.enumerations

The tables come from vbox-sdk on PyPI, Oracle's own Python glue of each release. Its first and last release of each
minor version are looked at; numbers are never changed in between.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

RELEASES = ("6.1.0", "6.1.50", "7.0.0", "7.0.26", "7.1.0", "7.1.18", "7.2.0", "7.2.22")
ENUMERATIONS = (
    *("AccessMode", "BitmapFormat", "CleanupMode", "DeviceType", "LockType", "MachineState"),
    *(
        "MediumVariant",
        "NATProtocol",
        "NetworkAttachmentType",
        "ProcessorFeature",
        "SessionState",
        "StorageBus",
        "VMProcPriority",
    ),
)
TARGET = Path(__file__).parents[1] / "vmcontroller/hypervisors/virtualbox/enumerations.json"


def numbers_of(release: str, folder: Path) -> dict[str, dict[str, int]]:
    """The labels and numbers of one release."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}"]
    subprocess.run([*command, f"vbox-sdk=={release}"], check=True)
    (wheel,) = folder.glob(f"*-{release}-*.whl")
    zipfile.ZipFile(wheel).extract("vboxapi/VirtualBox_constants.py", folder / release)
    info = module_at(folder / release / "vboxapi/VirtualBox_constants.py").VirtualBoxReflectionInfo(False)
    return {name: dict(sorted(info.all_values(name).items())) for name in ENUMERATIONS}


def module_at(path: Path) -> Any:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        tables = {release: numbers_of(release, Path(folder)) for release in RELEASES}
    TARGET.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
