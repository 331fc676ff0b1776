#!/usr/bin/env python3
"""The two-dimensional Ising model at 21 temperatures, beside its exact solution. Needs nothing but Python.

A square lattice of spins, each up or down, that like to agree with their four neighbours: below a critical temperature
they all turn the same way, and the lattice is a magnet. Onsager solved it exactly for the infinite lattice, which
makes it the touchstone of every Monte Carlo program. The lattice is updated with Metropolis' rule; temperature is in
units of J/k, energy in units of J.

    result.json        energy and magnetisation a spin with their statistical errors, and the exact values
    distribution.txt   the magnetisation at each temperature
    fraction_done      how far it is, one number between 0 and 1 a line
    checkpoint.json    the temperatures that are done; a program that finds one goes on from there

Each temperature has a random seed of its own, so that a restarted run gives the numbers of an uninterrupted one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
from pathlib import Path
from typing import Any

TEMPERATURES = [round(1.5 + 0.1 * step, 1) for step in range(21)]
SHOWN = [1.8, 2.0, 2.6, 3.0]  # where the lattice is large beside the correlation length: at most 4 lattice units
CRITICAL = 2 / math.log(1 + math.sqrt(2))

SIZE = 32
WARM_UP = 0.2  # of the sweeps; they bring the lattice to equilibrium and are not measured
BINS = 20  # errors come from the scatter of so many averages, because sweeps next to each other are alike

ONSAGER = "L. Onsager, Phys. Rev. 65 (1944) 117; C. N. Yang, Phys. Rev. 85 (1952) 808"

Point = dict[str, list[float]]  # a quantity's name -> its value and its statistical error


class Lattice:
    """A periodic square lattice of spins at one temperature, all up at first."""

    def __init__(self, size: int, temperature: float, seed: str) -> None:
        self.spins = [1] * size * size
        self.neighbours = [neighbours(place, size) for place in range(size * size)]
        self.acceptance = {cost: math.exp(-cost / temperature) for cost in (4, 8)}
        self.random = random.Random(seed)

    def sweep(self) -> None:
        """Let each spin turn over: always if that costs no energy, else with probability exp(-cost/T)."""
        spins, acceptance, chance = self.spins, self.acceptance, self.random.random
        for place, (east, west, south, north) in enumerate(self.neighbours):
            cost = 2 * spins[place] * (spins[east] + spins[west] + spins[south] + spins[north])
            if cost <= 0 or chance() < acceptance[cost]:
                spins[place] = -spins[place]

    def energy(self) -> float:
        """The energy a spin; every bond is counted once."""
        spins = self.spins
        bonds = sum(spin * (spins[near[0]] + spins[near[2]]) for spin, near in zip(spins, self.neighbours, strict=True))
        return -bonds / len(spins)

    def magnetisation(self) -> float:
        """The magnetisation a spin, whichever way it points."""
        return abs(sum(self.spins)) / len(self.spins)


def neighbours(place: int, size: int) -> tuple[int, int, int, int]:
    """The places east, west, south and north of one."""
    row, column = divmod(place, size)
    east, west = row * size + (column + 1) % size, row * size + (column - 1) % size
    return east, west, (place + size) % size**2, (place - size) % size**2


def measure(temperature: float, sweeps: int, seed: str) -> Point:
    """Simulate one temperature."""
    lattice = Lattice(SIZE, temperature, seed)
    for _ in range(int(sweeps * WARM_UP)):
        lattice.sweep()
    energies, magnetisations = [], []
    for _ in range(sweeps):
        lattice.sweep()
        energies.append(lattice.energy())
        magnetisations.append(lattice.magnetisation())
    return {"energy": binned(energies), "magnetisation": binned(magnetisations)}


def binned(values: list[float]) -> list[float]:
    """The mean of a series and its error, from the scatter of the means of its BINS parts."""
    length = len(values) // BINS
    means = [math.fsum(values[i * length : (i + 1) * length]) / length for i in range(BINS)]
    average = math.fsum(means) / BINS
    variance = math.fsum((mean - average) ** 2 for mean in means) / (BINS - 1)
    return [average, math.sqrt(variance / BINS)]


def exact_energy(temperature: float) -> float:
    """Onsager's energy a spin of the infinite lattice."""
    k = 2 / temperature
    modulus = 2 * math.sinh(k) / math.cosh(k) ** 2
    return -(1 + 2 / math.pi * (2 * math.tanh(k) ** 2 - 1) * elliptic(modulus)) / math.tanh(k)


def exact_magnetisation(temperature: float) -> float:
    """Yang's spontaneous magnetisation a spin of the infinite lattice."""
    return (1 - math.sinh(2 / temperature) ** -4) ** 0.125 if temperature < CRITICAL else 0.0


def elliptic(modulus: float) -> float:
    """The complete elliptic integral of the first kind, by the arithmetic-geometric mean."""
    a, b = 1.0, math.sqrt(1 - modulus**2)
    while abs(a - b) > 1e-15 * a:
        a, b = (a + b) / 2, math.sqrt(a * b)
    return math.pi / (2 * a)


EXACT = {"energy": exact_energy, "magnetisation": exact_magnetisation}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def load(path: Path, job: dict[str, int]) -> list[Point]:
    """The temperatures that a checkpoint of the same job holds."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return held["points"] if held["job"] == job else []


def work(points: list[Point], job: dict[str, int], directory: Path) -> None:
    """Measure the temperatures that are still to do; after each, leave a checkpoint and say how far it is."""
    for temperature in TEMPERATURES[len(points) :]:
        points.append(measure(temperature, job["sweeps"], f"{job['seed']} {temperature}"))
        write(directory / "checkpoint.json", json.dumps({"job": job, "points": points}))
        with (directory / "fraction_done").open("a") as file:
            file.write(f"{len(points) / len(TEMPERATURES):.6f}\n")
        (energy, error), (magnetisation, _) = points[-1]["energy"], points[-1]["magnetisation"]
        print(f"T = {temperature}: energy {energy:.4f} +- {error:.4f}, magnetisation {magnetisation:.4f}", flush=True)


def comparison(name: str, temperature: float, point: Point) -> dict[str, Any]:
    """One quantity at one temperature beside its exact value."""
    value, error = point[name]
    exact = EXACT[name](temperature)
    return {
        "name": f"{name} T={temperature}",
        "value": value,
        "error": error,
        "reference": exact,
        "referenceError": 0.0,
    }


def report(directory: Path, points: list[Point], job: dict[str, int]) -> None:
    """Write the results."""
    at = dict(zip(TEMPERATURES, points, strict=True))
    asked = [("energy", temperature) for temperature in SHOWN] + [("magnetisation", 2.0)]
    result = {
        "title": f"Two-dimensional Ising model, {SIZE} x {SIZE} spins",
        "model": "Metropolis",
        "referenceName": "exact",
        "source": ONSAGER,
        **job,
        "comparisons": [comparison(name, temperature, at[temperature]) for name, temperature in asked],
    }
    write(directory / "result.json", json.dumps(result, indent=2) + "\n")
    rows = [(t, *point["magnetisation"], exact_magnetisation(t), 0.0) for t, point in at.items()]
    lines = [" ".join(f"{number:9.5f}" for number in row) for row in rows]
    write(directory / "distribution.txt", "\n".join(["# T magnetisation error exact error", *lines, ""]))


def main(argv: list[str] | None = None) -> None:
    """Run the job in the current directory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=3000, help=f"how often each spin may turn, at least {BINS}")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another set of lattices")
    options = parser.parse_args(argv)
    if options.sweeps < BINS:
        parser.error(f"--sweeps {options.sweeps} is less than {BINS}")
    job, here = vars(options), Path.cwd()
    points = load(here / "checkpoint.json", job)
    print(
        f"Ising model, {SIZE} x {SIZE} spins, {options.sweeps} sweeps, {len(points)} temperatures done before",
        flush=True,
    )
    work(points, job, here)
    report(here, points, job)


if __name__ == "__main__":
    main()
