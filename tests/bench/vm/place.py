"""Where everything is measured: a daemon with one guest at a time, whose QEMU has a second monitor and a serial port.

QEMU is started by the plugin. A program of the same name, found first, adds what the peers need to the command line.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.loopback.house import House, house, wait_for
from vmcontroller.hypervisors.qemu.emulator import PROGRAM
from vmcontroller.hypervisors.qemu.record import Home

#: The name of the guest.
VM = "alpha"
MEMORY_MB = 512
#: Seconds in which an emulated guest boots, on a busy host.
PATIENCE = 120.0
#: In the machine's directory, where QEMU works.
MONITOR, SERIAL = "peer.sock", "qga.sock"
_ADDITIONS = (
    f"-qmp unix:{MONITOR},server=on,wait=off -device virtio-serial-pci"
    f" -chardev socket,id=qga,path={SERIAL},server=on,wait=off -device virtserialport,chardev=qga"
)
_PROGRAM = """#!/bin/sh
case " $* " in *" -netdev "*) set -- "$@" {additions} ;; esac
exec {program} "$@"
"""


class Place:
    """A daemon, a directory for whatever is needed, and the image that every guest is made from."""

    def __init__(self, home: House, scratch: Path, image: Path) -> None:
        self.home = home
        self.scratch = scratch
        self.image = str(image)

    @contextmanager
    def made(self) -> Iterator[Path]:
        """A guest that is not started; its machine's directory. It is removed afterwards."""
        self.home.call("createVM", VM, self.image, {"memoryMB": MEMORY_MB})
        try:
            yield self.home.state / "qemu" / str(self.home.call("getVM", VM)["id"])
        finally:
            self.home.call("removeVM", VM)

    @contextmanager
    def guest(self) -> Iterator[Path]:
        """Likewise, and its agent is there."""
        with self.made() as folder:
            self.home.call("start", VM)
            self.awaited()
            yield folder

    def awaited(self) -> None:
        """Wait for the agent; one call may not take as long as a boot."""
        wait_for(lambda: self.home.call("waitForVM", VM, 5.0), "the guest says no HELLO", PATIENCE)

    def first_command(self) -> float:
        """Start the guest; seconds until the result of a command is there."""
        begun = time.perf_counter()
        self.home.call("start", VM)
        self.awaited()
        assert self.home.result(self.home.run(VM, "/bin/true"))["exitCodeOrSignal"] == 0
        return time.perf_counter() - begun


def qemu(folder: Path) -> psutil.Process:
    """The process of a machine that the daemon runs."""
    running = Home(folder).load().running
    assert running, f"no QEMU runs in {folder}"
    return psutil.Process(running.pid)


@contextmanager
def place(scratch: Path, image: Path) -> Iterator[Place]:
    """A daemon that finds our QEMU first."""
    program, path = shutil.which(PROGRAM), os.environ["PATH"]
    assert program, "QEMU is not installed; on Debian: qemu-system-x86 and qemu-utils"
    ours = scratch / "bin" / PROGRAM
    ours.parent.mkdir()
    ours.write_text(_PROGRAM.format(additions=_ADDITIONS, program=program))
    ours.chmod(0o755)
    os.environ["PATH"] = f"{ours.parent}{os.pathsep}{path}"
    try:
        with house(scratch / "state", "--hypervisor", "qemu") as home:
            yield Place(home, scratch, image)
    finally:
        os.environ["PATH"] = path
