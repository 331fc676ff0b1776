"""AutoDock Vina as an archive for the VM: Debian's packages, from the system's own package sources, once.

Knows apt and dpkg, and no host. What is packed is what `vina` needs beyond the C library, and the two molecules that
its package brings for its own test.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .stop import Stop

PACKAGES = ("autodock-vina", "libgcc-s1", "libstdc++6")
#: Their names hold Boost's version, which differs between Debian's releases: apt knows.
DEPENDS_ON = "libboost"
ARCHIVE = "vina.tar"


class NoPackages(Exception):
    """There is no apt here, or it cannot fetch them; the text says which."""


def vina(cache: Path, stop: Stop) -> Path:
    """The archive's path, made now if the cache does not hold it. Raises NoPackages."""
    archive = cache.absolute() / ARCHIVE
    if not archive.exists():
        make(archive, stop)
    return archive


def make(archive: Path, stop: Stop) -> None:
    """Fetch and unpack the packages, and pack what is needed; the archive appears when it is whole."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise NoPackages("Vina comes from Debian's packages, and this system has no apt")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as fresh:
        for package in fetch([*PACKAGES, *libraries()], Path(fresh), stop):
            subprocess.run(["dpkg-deb", "-x", package, f"{fresh}/root"], check=True)
        pack(Path(fresh) / "root", Path(fresh) / ARCHIVE)
        os.replace(f"{fresh}/{ARCHIVE}", archive)


def libraries() -> list[str]:
    """Vina's own libraries, as the system's package lists name them."""
    command = ["apt-cache", "depends", "--important", PACKAGES[0]]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    names = [line.partition("Depends: ")[2].strip() for line in listing.splitlines()]
    return [name for name in names if name.startswith(DEPENDS_ON)]


def fetch(packages: Iterable[str], directory: Path, stop: Stop) -> list[Path]:
    """Let apt choose and fetch; NoPackages in its own words."""
    # As root, apt fetches as another user, who may not write here.
    command = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *packages]
    with stop.running(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as apt:
        complaint = apt.stderr.read() if apt.stderr else ""
    if apt.returncode:
        errors = [line.removeprefix("E: ") for line in complaint.splitlines() if line.startswith("E: ")]
        raise NoPackages(f"apt cannot fetch AutoDock Vina: {'; '.join(errors) or 'it was interrupted'}")
    return sorted(directory.glob("*.deb"))


def pack(root: Path, archive: Path) -> None:
    """bin/vina, lib/ and the two molecules."""
    data = root / "usr/share/doc/autodock-vina/test-data"
    (root / "protein.pdbqt").write_bytes(gzip.decompress((data / "protein.pdbqt.gz").read_bytes()))
    with tarfile.open(archive, "w") as tar:
        tar.add(root / "usr/bin/vina", "bin/vina")
        tar.add(data / "ligand.pdbqt", "ligand.pdbqt")
        tar.add(root / "protein.pdbqt", "protein.pdbqt")
        for library in sorted(root.glob("**/lib/*/*.so.*[0-9]")):
            tar.add(library, f"lib/{library.name}")
