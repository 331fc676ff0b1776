"""The program of job_xml/examples/alice: what it counts, and that a restart changes nothing."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from job_xml.examples.alice import dndeta
from tests.job_xml import pythia

ALICE = Path(dndeta.__file__).parent

#: Like the example's, but without diffraction, whose preparation takes PYTHIA seconds.
QUICK = """
Beams:eCM = 13000.
SoftQCD:nonDiffractive = on
ParticleDecays:limitTau0 = on
ParticleDecays:tau0Max = 10.
Print:quiet = on
"""

#: Runs the program with small blocks; with a number before the arguments, as if killed after so many blocks.
RUNNER = """
import os, sys
from job_xml.examples.alice import dndeta
dndeta.BLOCK = 20
last, save = int(sys.argv[1]), dndeta.save
def save_and_die(path, run):
    save(path, run)
    if run.blocks == last:
        os._exit(9)
dndeta.save = save_and_die
dndeta.main(sys.argv[2:])
"""


def tally(*events: list[float]) -> dndeta.Tally:
    counted = dndeta.Tally()
    for etas in events:
        counted.add(etas)
    return counted


def test_the_density_counts_what_lies_within_half_a_unit_of_mid_rapidity() -> None:
    """Three events with 2, 0 and 4 central particles: 2 a unit, and the error of the mean of 2, 0, 4."""
    counted = tally([0.1, -0.49, 0.51], [], [0.0, 0.2, -0.2, 0.4, -3.0])
    assert counted.density() == (2.0, pytest.approx(math.sqrt(4 / 3)))


def test_one_event_has_no_error_and_says_nothing() -> None:
    """With fewer than two events there is no scatter to take an error from."""
    assert tally([0.1]).density() == (0.0, 0.0)
    assert tally().density() == (0.0, 0.0)


def test_a_bin_holds_its_lower_edge_and_what_lies_outside_is_not_counted() -> None:
    """The axis goes from -7 to 7 in 56 bins."""
    counted = tally([-7.0, 6.999, 7.0, -7.001, 0.0], [])
    assert [place for place, count in enumerate(counted.bins) if count] == [0, 28, 55]


def test_the_distribution_is_a_density() -> None:
    """Four particles of two events in one bin of a quarter unit are eight a unit."""
    rows = list(tally([0.1, 0.1], [0.1, 0.1]).distribution())
    assert rows[28] == (pytest.approx(0.125), 8.0, 0.0)
    assert [row[1] for row in rows if row[1]] == [8.0]


def test_an_event_is_inel_gt_0_if_a_charged_particle_lies_within_one_unit() -> None:
    """ALICE's class INEL>0; all events are INEL."""
    run = dndeta.Run(seed=1, events=3)
    for etas in ([0.99], [1.0, -1.5], []):
        run.add(etas)
    assert {name: counted.events for name, counted in run.classes().items()} == {"INEL": 3, "INEL>0": 1}


class Particle:
    """What the program asks a particle of PYTHIA's event record."""

    def __init__(self, final: bool, charged: bool, eta: float) -> None:
        self.isFinal = lambda: final
        self.isCharged = lambda: charged
        self.eta = lambda: eta


def test_charged_primaries_are_final_and_charged() -> None:
    """What decayed and what is neutral does not count."""
    record = [Particle(True, True, 0.1), Particle(False, True, 0.2), Particle(True, False, 0.3)]
    assert dndeta.charged_primaries(record) == [0.1]


class Unwilling:
    """A PYTHIA that gives up on some collisions, then works."""

    event = ()

    def __init__(self, *answers: bool) -> None:
        self.answers: Iterator[bool] = iter(answers)

    def next(self) -> bool:
        return next(self.answers)


def test_a_collision_that_pythia_gives_up_on_is_made_again() -> None:
    """The number of collisions is what was asked for."""
    assert list(dndeta.collisions(Unwilling(True, False, True), 2)) == [[], []]


def test_a_pythia_that_gives_up_all_the_time_ends_the_job() -> None:
    """It says so, and does not run for ever."""
    with pytest.raises(SystemExit, match="gave up on 101 collisions"):
        list(dndeta.collisions(Unwilling(*[False] * 200), 1))


def test_a_checkpoint_brings_back_what_was_counted(tmp_path: Path) -> None:
    """To the last digit: all of it is whole numbers."""
    run = dndeta.Run(seed=3, events=1000)
    run.add([0.1, 2.0])
    run.blocks = 1
    dndeta.save(tmp_path / "checkpoint.json", run)
    assert dndeta.load(tmp_path / "checkpoint.json", 3, 1000) == run


@pytest.mark.parametrize("text", ["", "{", None])
def test_a_checkpoint_that_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    """The job begins anew."""
    if text is not None:
        (tmp_path / "checkpoint.json").write_text(text)
    assert dndeta.load(tmp_path / "checkpoint.json", 3, 1000) == dndeta.Run(3, 1000)


@pytest.mark.parametrize("job", [(4, 1000), (3, 2000)])
def test_a_checkpoint_of_another_job_is_none(tmp_path: Path, job: tuple[int, int]) -> None:
    """Another seed or size is another job."""
    dndeta.save(tmp_path / "checkpoint.json", dndeta.Run(3, 1000, blocks=2))
    assert dndeta.load(tmp_path / "checkpoint.json", *job) == dndeta.Run(*job)


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with the exit code of a wrong command line."""
    with pytest.raises(SystemExit, match="2"):
        dndeta.main(["no.whl", str(ALICE / "pythia.cmnd")])
    assert "there is no file no.whl" in capsys.readouterr().err


def python(directory: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: PYTHIA's module cannot be unloaded."""
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ALICE.parents[2])}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def start(directory: Path, *arguments: str, last: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program with real PYTHIA in a directory that has its wheel and steering file."""
    return python(directory, RUNNER, str(last), "pythia8mc.whl", "quick.cmnd", *arguments)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PYTHIA, unpacked by the program itself."""
    directory = tmp_path_factory.mktemp("pythia") / "pythia8"
    dndeta.unpack(pythia.wheel(), directory)
    return directory


@pytest.fixture
def slot(tmp_path: Path, unpacked: Path) -> Path:
    """A directory as the program finds it in a VM."""
    (tmp_path / "pythia8mc.whl").symlink_to(pythia.wheel())
    (tmp_path / "pythia8").symlink_to(unpacked)
    (tmp_path / "quick.cmnd").write_text(QUICK)
    return tmp_path


def results(directory: Path) -> list[str]:
    return [(directory / name).read_text() for name in ("result.json", "distribution.txt", "checkpoint.json")]


def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(slot: Path) -> None:
    """The numbers are the same to the last digit, and the blocks before the checkpoint are not made again."""
    killed = start(slot, "--events", "70", "--seed", "5", last=2)
    assert killed.returncode == 9
    resumed = start(slot, "--events", "70", "--seed", "5")
    assert "from collision 40" in resumed.stdout, resumed.stderr
    first = results(slot)
    (slot / "checkpoint.json").unlink()
    whole = start(slot, "--events", "70", "--seed", "5")
    assert "from collision 0" in whole.stdout, whole.stderr
    assert results(slot) == first
    assert (slot / "fraction_done").read_text().split()[-1] == "1.000000"


def test_another_seed_is_another_set_of_collisions(slot: Path) -> None:
    """And the same seed the same."""
    seen = []
    for seed in ("5", "6"):
        start(slot, "--events", "40", "--seed", seed)
        seen.append(json.loads((slot / "result.json").read_text())["comparisons"][0]["value"])
    assert seen[0] != seen[1]


#: Asks PYTHIA itself, with the example's own steering file, which particles are final and which have decayed.
LIFETIMES = """
import sys
from pathlib import Path
from job_xml.examples.alice import dndeta
pythia = dndeta.generator(Path("pythia8"), Path(sys.argv[1]))
for _ in range(60):
    pythia.next()
    for particle in pythia.event:
        lifetime, decayed = particle.tau0(), particle.status() < 0 and 80 < particle.statusAbs() < 100
        final = particle.isFinal() and particle.isHadron() and 0 < lifetime
        if final or decayed and particle.isHadron():
            print("final" if final else "decayed", lifetime, particle.name())
"""


def test_primaries_live_longer_than_one_centimetre(slot: Path) -> None:
    """The example's steering file is ALICE's definition: no K0s or Lambda decays, and whatever lives shorter does."""
    run = python(slot, LIFETIMES, str(ALICE / "pythia.cmnd"))
    seen = [line.split() for line in run.stdout.splitlines()]
    final = {name: float(lifetime) for fate, lifetime, name in seen if fate == "final"}
    decayed = {name: float(lifetime) for fate, lifetime, name in seen if fate == "decayed"}
    assert {"K_S0", "Lambda0", "pi+"} <= final.keys()
    assert min(final.values()) > 10.0
    assert {"pi0", "rho0"} <= decayed.keys()
    assert max(decayed.values()) <= 10.0
