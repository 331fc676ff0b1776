"""A stand-in for VMware's vmrun: it replays what the documentation promises, and runs nothing but a sleeping process.

The first argument is its own: a directory where it remembers which machines run. What a guest would have in memory is a
random number (``memory``), what it would write on its disk is a text (``text``); both lie beside the .vmx file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

USAGE = "\nvmrun version 1.17.0 build-20800274\n\nUsage: vmrun [AUTHENTICATION-FLAGS] COMMAND [PARAMETERS]\n"
SAVED = "checkpoint.vmState"


def fail(why: str) -> NoReturn:
    print(f"Error: {why}")
    sys.exit(255)


class Registry:
    """Which machines run: a file each, with the .vmx file's path and the process id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def running(self) -> dict[str, int]:
        found = {}
        for path in self.folder.iterdir():
            vmx, pid = json.loads(path.read_text())
            if Path(f"/proc/{pid}/stat").exists() and ") Z" not in Path(f"/proc/{pid}/stat").read_text():
                found[vmx] = pid
        return found

    def add(self, vmx: Path) -> None:
        # It keeps vmrun's output open, as a program that was started carelessly does.
        process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        (self.folder / secrets.token_hex(8)).write_text(json.dumps([str(vmx), process.pid]))

    def end(self, vmx: Path) -> None:
        pid = self.running()[str(vmx)]
        os.kill(pid, signal.SIGKILL)
        while str(vmx) in self.running():
            time.sleep(0.01)


class Machine:
    """The machine of one .vmx file."""

    def __init__(self, registry: Registry, vmx: str) -> None:
        self.registry = registry
        self.vmx = Path(vmx)
        self.home = self.vmx.parent
        if not self.vmx.exists():
            fail(f"Cannot open VM: {vmx}, The virtual machine cannot be found")

    # -- the .vmx file

    def value(self, key: str) -> str:
        found = re.search(rf'^{re.escape(key)} = "(.*)"$', self.vmx.read_text(), re.MULTILINE)
        return found[1] if found else ""

    def set(self, key: str, value: str) -> None:
        lines = [line for line in self.vmx.read_text().splitlines() if not line.startswith(f"{key} =")]
        self.vmx.write_text("\n".join([*lines, f'{key} = "{value}"', ""]))

    def check(self) -> None:
        """What VMware would not start without."""
        for key in ("config.version", "virtualHW.version", "displayName", "guestOS", "memsize", "numvcpus"):
            if not self.value(key):
                fail(f"{key} is missing in {self.vmx}")
        if int(self.value("memsize")) % 4:
            fail("The memory size must be a multiple of 4 MB")
        disk, seed = (self.home / self.value(f"{place}.fileName") for place in ("ide0:0", "ide1:0"))
        if disk.read_bytes()[:4] != b"KDMV" or seed.read_bytes()[0x8001:0x8006] != b"CD001":
            fail("The file specified is not a virtual disk")

    # -- power

    @property
    def runs(self) -> bool:
        return str(self.vmx) in self.registry.running()

    def demand_power(self) -> None:
        if not self.runs:
            fail(f"The virtual machine is not powered on: {self.vmx}")

    def start(self, how: str) -> None:
        if how != "nogui":
            fail("Cannot connect to a display")
        if self.runs:
            fail("The file is already in use")
        self.check()
        if not self.value(SAVED):
            (self.home / "memory").write_text(secrets.token_hex(8))
        self.set(SAVED, "")
        self.registry.add(self.vmx)

    def stop(self, how: str) -> None:
        self.demand_power()
        assert how in ("hard", "soft")
        self.registry.end(self.vmx)

    def reset(self, how: str) -> None:
        self.demand_power()
        assert how == "hard"
        (self.home / "memory").write_text(secrets.token_hex(8))

    def suspend(self, how: str) -> None:
        self.demand_power()
        assert how == "hard"
        if (self.home / "stand-in-paused").exists():
            fail("The operation cannot be performed while the virtual machine is paused")
        (self.home / "machine.vmss").write_bytes(b"memory")
        self.set(SAVED, "machine.vmss")
        self.registry.end(self.vmx)

    def pause(self) -> None:
        self.demand_power()
        (self.home / "stand-in-paused").touch()

    def unpause(self) -> None:
        self.demand_power()
        (self.home / "stand-in-paused").unlink()

    # -- snapshots

    @property
    def shelf(self) -> Path:
        return self.home / "stand-in-snapshots"

    def existing(self, name: str) -> Path:
        if not (self.shelf / name).exists():
            fail("The snapshot does not exist")
        return self.shelf / name

    def snapshot(self, name: str) -> None:
        if "/" in name or not name:
            fail("Invalid snapshot name")  # A slash leads to a child.
        if (self.shelf / name).exists():
            fail("The name already exists")
        if (self.home / "stand-in-paused").exists():
            fail("The operation cannot be performed while the virtual machine is paused")
        (self.shelf / name).mkdir(parents=True)
        for part in ("text", "memory") if self.runs or self.value(SAVED) else ("text",):
            if (self.home / part).exists():
                shutil.copy(self.home / part, self.shelf / name / part)

    def revertToSnapshot(self, name: str) -> None:
        kept = self.existing(name)
        if self.runs:
            self.registry.end(self.vmx)
        for part in ("text", "memory"):
            (self.home / part).unlink(missing_ok=True)
            if (kept / part).exists():
                shutil.copy(kept / part, self.home / part)
        self.set(SAVED, f"machine-{name}.vmsn" if (kept / "memory").exists() else "")

    def deleteSnapshot(self, name: str) -> None:
        shutil.rmtree(self.existing(name))

    def listSnapshots(self) -> None:
        names = sorted(path.name for path in self.shelf.iterdir()) if self.shelf.exists() else []
        print("\n".join([f"Total snapshots: {len(names)}", *names]))


def main(arguments: list[str]) -> None:
    registry = Registry(Path(arguments[0]))
    if len(arguments) == 1:
        print(USAGE)
        sys.exit(255)
    assert arguments[1:3] in (["-T", "ws"], ["-T", "fusion"]), arguments
    verb, words = arguments[3], arguments[4:]
    if verb == "list":
        running = registry.running()
        print("\n".join([f"Total running VMs: {len(running)}", *running]))
        return
    deed: Callable[..., None] = getattr(Machine(registry, words[0]), verb)
    deed(*words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
