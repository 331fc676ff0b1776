"""The program of job_xml/examples/python: the model, its exact solution, and that a restart changes nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from job_xml.examples.python import ising


def test_the_exact_energy_is_onsagers() -> None:
    """-2 when cold, 0 when hot, -sqrt(2) at the critical temperature."""
    assert ising.exact_energy(0.1) == pytest.approx(-2.0)
    assert ising.exact_energy(1e4) == pytest.approx(-2e-4, rel=1e-3)
    assert ising.exact_energy(ising.CRITICAL * (1 + 1e-5)) == pytest.approx(-math.sqrt(2), abs=1e-3)
    assert ising.exact_energy(2.0) == pytest.approx(-1.745564575, abs=1e-8)


def test_the_exact_magnetisation_is_yangs() -> None:
    """1 when cold, 0 above the critical temperature."""
    assert ising.exact_magnetisation(0.2) == pytest.approx(1.0)
    assert ising.exact_magnetisation(2.0) == pytest.approx(0.911319378, abs=1e-8)
    assert ising.exact_magnetisation(2.3) == 0.0


def test_every_spin_has_four_neighbours_that_have_it_as_theirs() -> None:
    """The lattice is periodic."""
    near = [ising.neighbours(place, 4) for place in range(16)]
    assert near[0] == (1, 3, 4, 12)
    assert all(len(set(places)) == 4 for places in near)
    assert all(place in near[other] for place, places in enumerate(near) for other in places)


def test_energy_and_magnetisation_are_per_spin() -> None:
    """All up: two bonds a spin, each of energy -1. One down of sixteen: four bonds broken."""
    lattice = ising.Lattice(4, 2.0, "seed")
    assert (lattice.energy(), lattice.magnetisation()) == (-2.0, 1.0)
    lattice.spins[5] = -1
    assert (lattice.energy(), lattice.magnetisation()) == (-2.0 + 8 / 16, 14 / 16)


def test_a_cold_lattice_stays_as_it_is() -> None:
    """At a temperature of almost nothing no spin turns."""
    lattice = ising.Lattice(8, 0.01, "seed")
    lattice.sweep()
    assert lattice.energy() == -2.0


def test_the_error_is_that_of_the_means_of_the_bins() -> None:
    """Twenty bins, half of them 0 and half 2: mean 1, variance 20/19."""
    assert ising.binned([0.0, 0.0, 2.0, 2.0] * 10) == [1.0, pytest.approx(math.sqrt(1 / 19))]


def test_a_hot_lattice_has_the_exact_energy() -> None:
    """Within four standard deviations, with a seed that is fixed."""
    value, error = ising.measure(3.0, 400, "7")["energy"]
    assert abs(value - ising.exact_energy(3.0)) < 4 * error


def test_a_job_leaves_its_results_and_an_interrupted_one_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint of a run that was cut is taken up; to the last digit nothing differs."""
    monkeypatch.chdir(tmp_path)
    ising.main(["--sweeps", "20"])
    whole = [(tmp_path / name).read_text() for name in ("result.json", "distribution.txt")]
    assert (tmp_path / "fraction_done").read_text().split()[-1] == "1.000000"
    held = json.loads((tmp_path / "checkpoint.json").read_text())
    (tmp_path / "checkpoint.json").write_text(json.dumps(held | {"points": held["points"][:15]}))
    ising.main(["--sweeps", "20"])
    assert "15 temperatures done" in capsys.readouterr().out
    assert [(tmp_path / name).read_text() for name in ("result.json", "distribution.txt")] == whole
    assert len(json.loads(whole[0])["comparisons"]) == 5


def test_the_checkpoint_of_another_job_is_not_taken_up(tmp_path: Path) -> None:
    """Nor one that cannot be read."""
    path = tmp_path / "checkpoint.json"
    job = {"sweeps": 20, "seed": 1}
    assert ising.load(path, job) == []
    path.write_text("{")
    assert ising.load(path, job) == []
    path.write_text(json.dumps({"job": {"sweeps": 20, "seed": 2}, "points": [{}]}))
    assert ising.load(path, job) == []


def test_too_few_sweeps_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The error needs twenty bins."""
    with pytest.raises(SystemExit, match="2"):
        ising.main(["--sweeps", "19"])
    assert "--sweeps 19 is less than 20" in capsys.readouterr().err
