"""The docking: its archive is made of Debian's packages, and its program reads what Vina prints."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from job_xml.examples.demo import __main__ as demo
from job_xml.examples.demo import debian
from job_xml.examples.demo.stop import Stop

DOCK = demo.EXAMPLES / "vina" / "dock.py"
VINA = """#!/bin/sh
echo '#################'
printf '|----|----|\\n'; for n in 1 2 3; do printf '*****************'; done; echo
cat <<'TABLE'

mode |   affinity | dist from best mode
     | (kcal/mol) | rmsd l.b.| rmsd u.b.
-----+------------+----------+----------
   1       -10.23          0          0
   2       -9.953      3.425      4.135
TABLE
test -e lib/libboost_x.so.1 && test "$LD_LIBRARY_PATH" = "$PWD/lib" && echo "$*" > poses.pdbqt
"""
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here: this is no Debian")


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def package(tree: Path) -> None:
    """What Debian's package would hold, but for a Vina that only says its last words."""
    script(tree / "usr/bin/vina", VINA)
    data = tree / "usr/share/doc/autodock-vina/test-data"
    data.mkdir(parents=True)
    (data / "ligand.pdbqt").write_text("ligand")
    (data / "protein.pdbqt.gz").write_bytes(gzip.compress(b"protein"))
    (tree / "usr/lib/some-triplet").mkdir(parents=True)
    for name in ("libboost_x.so.1", "libboost_x.so.1-gdb.py"):
        (tree / "usr/lib/some-triplet" / name).write_text("")
    control = "Package: autodock-vina\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: d\n"
    script(tree / "DEBIAN/control", control)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose apt has this one package; the file that says what apt was asked for."""
    package(tmp_path / "tree")
    asked = tmp_path / "asked"
    script(tmp_path / "bin/apt-get", f'#!/bin/sh\necho "$@" >> {asked}\ndpkg-deb -b {tmp_path}/tree vina.deb >&2\n')
    script(tmp_path / "bin/apt-cache", "#!/bin/sh\necho ' Depends: libboost-x1.74.0'\necho ' Depends: libc6'\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return asked


@needs_dpkg
def test_the_archive_holds_what_vina_needs(tmp_path: Path, apt: Path) -> None:
    """It is made once; the docking runs with it and nothing else."""
    cache = tmp_path / "cache"
    archive = debian.vina(cache, Stop())
    assert debian.vina(cache, Stop()) == archive
    assert [line.split()[-4:] for line in apt.read_text().splitlines()] == [[*debian.PACKAGES, "libboost-x1.74.0"]]
    assert list(cache.iterdir()) == [archive]
    with tarfile.open(archive) as tar:
        assert sorted(tar.getnames()) == ["bin/vina", "lib/libboost_x.so.1", "ligand.pdbqt", "protein.pdbqt"]

    place = tmp_path / "place"
    place.mkdir()
    subprocess.run([sys.executable, DOCK, archive, "--exhaustiveness", "2"], cwd=place, check=True)
    assert json.loads((place / "result.json").read_text())["affinities"] == [-10.23, -9.953]
    assert float((place / "fraction_done").read_text()) == 1.0
    assert "--exhaustiveness 2 --seed 1" in (place / "poses.pdbqt").read_text()


@needs_dpkg
def test_apt_says_why(tmp_path: Path, apt: Path) -> None:
    """In apt's own words; nothing is left of the attempt."""
    script(tmp_path / "bin/apt-get", "#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    with pytest.raises(debian.NoPackages, match="Unable to locate package"):
        debian.vina(tmp_path / "cache", Stop())
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system is told so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.NoPackages, match="no apt"):
        debian.vina(tmp_path / "cache", Stop())
