#!/usr/bin/env python3
"""The charged-particle density of proton-proton collisions, as ALICE measures it, from PYTHIA 8.

This program is what a physics project would ship. It knows nothing of VM Controller: it runs wherever Python does,
reads its wheel and its steering file from the directory it stands in, and writes its results there:

    result.json        the densities at mid-rapidity with their statistical errors, and what ALICE published
    distribution.txt   dN/deta in bins of pseudorapidity
    fraction_done      how far it is, one number between 0 and 1 a line
    checkpoint.json    what was counted so far; a program that finds one goes on from there

Collisions come in blocks, and each block has a random seed of its own. So a run that was interrupted and restarted
from its checkpoint gives the same numbers, to the last digit, as one that was not.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 500
BLOCKS_PER_SEED = 10_000  # seed * 10,000 + block stays below PYTHIA's 900,000,000 for every seed that we allow
MAX_SEED = 89_999
MAX_FAILURES = 100

MID_RAPIDITY = 0.5
INEL_GT_0 = 1.0  # ALICE's INEL>0: at least one charged primary with |eta| < 1
ETA_MAX = 7.0
BINS = 56
BIN_WIDTH = 2 * ETA_MAX / BINS

PAPER = "Phys. Lett. B 753 (2016) 319"
PUBLISHED = {"INEL": (5.31, 0.18), "INEL>0": (6.46, 0.19)}  # dN/deta in |eta| < 0.5, total uncertainty

WHEEL_PARTS = ("/share/Pythia8/xmldoc/", "/share/Pythia8/pdfdata/", "/share/Pythia8/tunes/")


@dataclass
class Tally:
    """What was counted in one class of events: whole numbers, so that adding them up in any order is exact."""

    events: int = 0
    central: int = 0  # charged primaries with |eta| < 0.5
    central_squares: int = 0  # the sum of the squares of that number, event by event
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    bin_squares: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, etas: Iterable[float]) -> None:
        """Count one event by the pseudorapidities of its charged primaries."""
        etas = list(etas)
        central = sum(abs(eta) < MID_RAPIDITY for eta in etas)
        self.events += 1
        self.central += central
        self.central_squares += central**2
        for place, count in Counter(map(bin_of, etas)).items():
            if 0 <= place < BINS:
                self.bins[place] += count
                self.bin_squares[place] += count**2

    def density(self) -> tuple[float, float]:
        """dN/deta in |eta| < 0.5 and its statistical error."""
        return mean(self.central, self.central_squares, self.events, 2 * MID_RAPIDITY)

    def distribution(self) -> Iterator[tuple[float, float, float]]:
        """Each bin's centre, dN/deta and statistical error."""
        for place in range(BINS):
            value, error = mean(self.bins[place], self.bin_squares[place], self.events, BIN_WIDTH)
            yield (place + 0.5) * BIN_WIDTH - ETA_MAX, value, error


def bin_of(eta: float) -> int:
    """The number of the bin that holds a pseudorapidity; below 0 or from BINS on where none does."""
    return math.floor((eta + ETA_MAX) / BIN_WIDTH)


def mean(total: int, squares: int, events: int, width: float) -> tuple[float, float]:
    """The mean per event and unit of width, and its error; nothing and nothing where there are fewer than two events.

    The error comes from the scatter of the events, because the particles of one event are not independent.
    """
    if events < 2:
        return 0.0, 0.0
    average = total / events
    variance = (squares - events * average**2) / (events - 1)
    return average / width, math.sqrt(max(variance, 0.0) / events) / width


@dataclass
class Run:
    """One job: its seed and size, how many blocks are done, and what they held."""

    seed: int
    events: int
    blocks: int = 0
    inel: Tally = field(default_factory=Tally)
    inel_gt_0: Tally = field(default_factory=Tally)

    def add(self, etas: list[float]) -> None:
        """Count one inelastic event, and again among INEL>0 if it is one."""
        self.inel.add(etas)
        if any(abs(eta) < INEL_GT_0 for eta in etas):
            self.inel_gt_0.add(etas)

    def classes(self) -> dict[str, Tally]:
        """The two classes of events that ALICE published, by name."""
        return {"INEL": self.inel, "INEL>0": self.inel_gt_0}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def load(path: Path, seed: int, events: int) -> Run:
    """The run that a checkpoint of the same job holds, or else a new one."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Run(seed, events)
    if (held["seed"], held["events"]) != (seed, events):
        return Run(seed, events)
    return Run(seed, events, held["blocks"], Tally(**held["inel"]), Tally(**held["inel_gt_0"]))


def save(path: Path, run: Run) -> None:
    """Write the checkpoint."""
    write(path, json.dumps(asdict(run)))


def unpack(wheel: Path, into: Path) -> None:
    """Unpack PYTHIA from its wheel, but for its manual. A directory that is there is whole already."""
    if into.exists():
        return
    fresh = into.with_name(into.name + ".new")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(fresh, [name for name in names if "/" not in name or any(p in name for p in WHEEL_PARTS)])
    fresh.rename(into)


def generator(directory: Path, steering: Path) -> Any:
    """A PYTHIA that is ready to collide protons; `directory` is what unpack() made."""
    os.environ["PYTHIA8DATA"] = str(next(directory.glob("*/data/share/Pythia8/xmldoc")))
    sys.path.insert(0, str(directory))
    try:
        import pythia8mc  # noqa: PLC0415 - it is there only now
    except ImportError as problem:
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"This wheel of PYTHIA does not fit Python {version} on this machine: {problem}")
    pythia = pythia8mc.Pythia("", False)
    if not (pythia.readFile(str(steering)) and pythia.readString("Random:setSeed = on") and pythia.init()):
        sys.exit(f"PYTHIA does not understand {steering}; it says above which line.")
    return pythia


def charged_primaries(event: Iterable[Any]) -> list[float]:
    """The pseudorapidities of the charged primaries: all that is final, as the steering file stops decays at 1 cm/c."""
    return [particle.eta() for particle in event if particle.isFinal() and particle.isCharged()]


def collisions(pythia: Any, count: int) -> Iterator[list[float]]:
    """Make `count` collisions. PYTHIA gives up on a rare one, which is made again; on many, something is wrong."""
    failures = 0
    while count:
        if pythia.next():
            count -= 1
            yield charged_primaries(pythia.event)
        elif (failures := failures + 1) > MAX_FAILURES:
            sys.exit(f"PYTHIA gave up on {failures} collisions of one block; it says above why.")


def comparison(name: str, tally: Tally) -> dict[str, Any]:
    """One class's density beside the published one."""
    value, error = tally.density()
    reference, uncertainty = PUBLISHED[name]
    return {
        "name": name,
        "value": value,
        "error": error,
        "events": tally.events,
        "reference": reference,
        "referenceError": uncertainty,
    }


def report(directory: Path, run: Run, version: float) -> None:
    """Write the results."""
    result = {
        "title": "Charged particles per unit of pseudorapidity at |eta| < 0.5, proton-proton at 13 TeV",
        "model": f"PYTHIA {version:.3f}",
        "referenceName": "ALICE",
        "source": PAPER,
        "events": run.inel.events,
        "seed": run.seed,
        "comparisons": [comparison(name, tally) for name, tally in run.classes().items()],
    }
    write(directory / "result.json", json.dumps(result, indent=2) + "\n")
    rows = zip(run.inel.distribution(), run.inel_gt_0.distribution(), strict=True)
    lines = [f"{eta:7.3f} {a:9.5f} {da:9.5f} {b:9.5f} {db:9.5f}" for (eta, a, da), (_, b, db) in rows]
    write(directory / "distribution.txt", "\n".join(["# eta INEL error INEL>0 error", *lines, ""]))


def work(run: Run, pythia: Any, directory: Path) -> None:
    """Make the blocks that are still to do; after each, leave a checkpoint and say how far it is."""
    blocks = math.ceil(run.events / BLOCK)
    for block in range(run.blocks, blocks):
        pythia.rndm.init(run.seed * BLOCKS_PER_SEED + block)
        for etas in collisions(pythia, min(BLOCK, run.events - block * BLOCK)):
            run.add(etas)
        run.blocks = block + 1
        save(directory / "checkpoint.json", run)
        with (directory / "fraction_done").open("a") as file:
            file.write(f"{run.blocks / blocks:.6f}\n")
        value, error = run.inel.density()
        print(f"{run.inel.events:6d} of {run.events} collisions: dN/deta = {value:.3f} +- {error:.3f}", flush=True)


def whole(low: int, high: int) -> Any:
    """A type of argument: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not between {low} and {high}")
        return number

    return parse


def existing(text: str) -> Path:
    """A type of argument: a file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=existing, help="PYTHIA's wheel: pythia8mc from the Python package index")
    parser.add_argument("steering", type=existing, help="PYTHIA's steering file")
    parser.add_argument("--events", type=whole(2, BLOCK * BLOCKS_PER_SEED), default=10_000, help="how many collisions")
    parser.add_argument("--seed", type=whole(1, MAX_SEED), default=1, help="another seed is another set of collisions")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the job in the current directory."""
    options = arguments(argv)
    here = Path.cwd()
    unpack(options.wheel, here / "pythia8")
    run = load(here / "checkpoint.json", options.seed, options.events)
    pythia = generator(here / "pythia8", options.steering)
    version = pythia.parm("Pythia:versionNumber")
    print(
        f"PYTHIA {version:.3f}, proton-proton at 13 TeV, seed {options.seed}, from collision {run.inel.events}",
        flush=True,
    )
    work(run, pythia, here)
    report(here, run, version)


if __name__ == "__main__":
    main()
