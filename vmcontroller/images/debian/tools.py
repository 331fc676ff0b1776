"""The programs of others that a build calls: whether they are there, and what they say when they fail."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from vmcontroller.errors import BuildFailed, DiskFull

#: Each program, and the Debian package that has it.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mformat": "mtools",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "qemu-img": "qemu-utils",
}
#: The boot sector that starts the active partition, of the package syslinux-common.
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
_SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find(program: str) -> str:
    """Where a program is; its bare name where it is not."""
    return shutil.which(program, path=_SEARCH) or program


def require() -> None:
    """BuildFailed with what to install, unless everything is there."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise BuildFailed(
            f"images are built on 64-bit PCs, and this is {platform.machine()}; build one there, and copy it"
        )
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program, path=_SEARCH)}
    if not MBR.exists():
        missing.add("syslinux-common")
    if missing:
        raise BuildFailed(f"programs that build an image are missing: apt install {' '.join(sorted(missing))}")


def environment(epoch: int | None = None) -> dict[str, str]:
    """For every program: nothing that changes from machine to machine, and no clock where that can be."""
    told = {name: value for name, value in os.environ.items() if name.endswith("_proxy") or name in ("HOME", "TMPDIR")}
    told |= {"PATH": _SEARCH, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0", "MTOOLS_SKIP_CHECK": "1"}
    if epoch is not None:
        told |= {"SOURCE_DATE_EPOCH": str(epoch), "E2FSPROGS_FAKE_TIME": str(epoch)}
    return told


def run(command: Sequence[str | Path], epoch: int | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    """What the program printed, given ``text`` to read. BuildFailed, DiskFull."""
    done = subprocess.run(
        [find(str(command[0])), *map(str, command[1:])],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(epoch),
        check=False,
    )
    if done.returncode != 0:
        raise failed(command, done.stderr or done.stdout)
    return done


def follow(command: Sequence[str | Path], hear: Callable[[str], None]) -> None:
    """Run a program that takes long; each line that it says is heard. BuildFailed, DiskFull."""
    with subprocess.Popen(
        [find(str(command[0])), *map(str, command[1:])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment(),
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                hear(line.rstrip())
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.stdout.read()  # it clears up, and must be heard out to do so
            raise
    if process.returncode != 0:
        raise failed(command, "".join(lines), "".join(_telling(lines)))


def _telling(lines: list[str]) -> list[str]:
    """The first two errors among the lines, as what follows from them says less; or else the last lines."""
    return [line for line in lines if line.startswith("E: ")][:2] or lines[-3:]


def failed(command: Sequence[str | Path], words: str, telling: str = "") -> BuildFailed | DiskFull:
    """The error for a program that failed with these words, of which some may be more telling than the rest."""
    said = " ".join((telling or words).split())[-400:] or "nothing"
    if "No space left on device" in words:
        return DiskFull(f"no room is left on the disk to build an image ({command[0]}); free some, or set TMPDIR")
    return BuildFailed(f"{command[0]} failed; it said: {said}")
