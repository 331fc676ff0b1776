"""``python -m tests.bench.vm [NAME …]``: measure real VMs in QEMU, print one table, keep it as bench-vm-results.json.

The image is built first, with the peers' packages besides; one QEMU runs at a time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.table import Row, keep, table
from tests.bench.vm import boot, commands, files, saving
from tests.bench.vm.place import Place, place
from tests.vm import guest_image

MEASUREMENTS: dict[str, Callable[[Place], list[Row]]] = {
    "boot": boot.run,
    "saving": saving.run,
    "commands": commands.run,
    "files": files.run,
}
PEERS = ("qemu-guest-agent", "openssh-server")


def main(names: list[str]) -> int:
    """Run those that are named, or all."""
    if strangers := [name for name in names if name not in MEASUREMENTS]:
        print(f"no such measurement: {', '.join(strangers)}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    _say("the image")
    image = guest_image.shelf("bench", PEERS).find("bench")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vmc-bench-") as scratch, place(Path(scratch), image) as here:
        for name in names or MEASUREMENTS:
            _say(name)
            rows += MEASUREMENTS[name](here)
    print(table(rows))
    keep(rows, Path("bench-vm-results.json"))
    return 0


def _say(what: str) -> None:
    print(f"… {what} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
