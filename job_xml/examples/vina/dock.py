#!/usr/bin/env python3
"""The docking of a small molecule to a protein with AutoDock Vina, and how far it is while it goes on.

This program is what a docking project would ship. It knows nothing of VM Controller: it unpacks Vina, its libraries,
the protein and the molecule from one archive in the directory it stands in, and writes there:

    poses.pdbqt     the molecule's best poses in the protein
    result.json     the affinity of each in kcal/mol
    fraction_done   how far it is, a number between 0 and 1
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

BOX = {"center_x": 11, "center_y": 90.5, "center_z": 57.5, "size_x": 22, "size_y": 24, "size_z": 28}  # Angstrom
STARS = 51  # in the progress bar that Vina draws, and nowhere else in what it prints


def main() -> int:
    """Dock, and write what came of it; Vina's exit code."""
    options = parse()
    shutil.unpack_archive(options.archive)
    with subprocess.Popen(command(options), env=environment(), stdout=subprocess.PIPE, bufsize=0) as vina:
        assert vina.stdout
        said = b"".join(watched(vina.stdout))
    if vina.returncode < 0:
        sys.exit(f"signal {-vina.returncode} ended vina; if that is 9, the VM may be short of memory")
    if vina.returncode == 0:
        Path("result.json").write_text(json.dumps({"affinities": affinities(said.decode()), "unit": "kcal/mol"}))
    return vina.returncode


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("archive", help="tar archive with bin/vina, lib/, protein.pdbqt and ligand.pdbqt")
    parser.add_argument("--exhaustiveness", type=int, default=8, help="how hard Vina searches")
    parser.add_argument("--seed", type=int, default=1, help="of Vina's random numbers")
    return parser.parse_args()


def command(options: argparse.Namespace) -> list[str]:
    """Vina's command line: one processor, as the VM has one."""
    box = [part for name, value in BOX.items() for part in (f"--{name}", str(value))]
    search = ["--exhaustiveness", str(options.exhaustiveness), "--seed", str(options.seed), "--cpu", "1"]
    return [
        "bin/vina",
        "--receptor",
        "protein.pdbqt",
        "--ligand",
        "ligand.pdbqt",
        "--out",
        "poses.pdbqt",
        *box,
        *search,
    ]


def environment() -> dict[str, str]:
    """Ours, with Vina's own libraries first."""
    return os.environ | {"LD_LIBRARY_PATH": os.path.abspath("lib")}


def watched(output: IO[bytes]) -> Iterator[bytes]:
    """What Vina prints, shown and counted as it comes."""
    stars = 0
    while octets := output.read(4096):
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
        stars += octets.count(b"*")
        tell(min(1.0, stars / STARS))
        yield octets


def tell(fraction: float) -> None:
    """Say how far it is."""
    Path("fraction_done.new").write_text(f"{fraction:.3f}\n")
    os.replace("fraction_done.new", "fraction_done")


def affinities(said: str) -> list[float]:
    """The second column of the table that Vina prints last."""
    table = said.rpartition("-----+")[2].splitlines()[1:]
    return [float(line.split()[1]) for line in table if len(line.split()) == 4]


if __name__ == "__main__":
    sys.exit(main())
