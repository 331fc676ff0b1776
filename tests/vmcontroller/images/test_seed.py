"""The seed that is written is the seed that the agent reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vmcontroller.images import seed
from vmcontroller_guest import iso
from vmcontroller_guest.seed import FILE, LABEL, read_seed

SEED = {
    "id": "worker-1",
    "name": 'Worker "1" ünïcode\n',
    "group": "default",
    "daemon": "d1",
    "secret": "s" * 64,
    "chirpKey": "-----BEGIN PUBLIC KEY-----\n" + "x" * 800,
    "beaconInterval": 10.0,
    "broker": "",
    "setClock": True,
}


def test_read_back(tmp_path: Path) -> None:
    """Label and name are those that the agent looks for."""
    seed.write(tmp_path / "seed.iso", SEED)
    found = read_seed(tmp_path / "seed.iso")
    assert (found.id, found.name, found.secret, found.set_clock) == ("worker-1", SEED["name"], SEED["secret"], True)
    assert (seed.LABEL, seed.FILE) == (LABEL, FILE)
    assert iso.label(tmp_path / "seed.iso") == LABEL


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_private(tmp_path: Path) -> None:
    """Nobody but its owner reads it, whatever the umask says, and whatever an earlier draft was."""
    (tmp_path / ".seed.iso.new").write_text("left by a crash")
    (tmp_path / ".seed.iso.new").chmod(0o666)
    before = os.umask(0)
    try:
        seed.write(tmp_path / "seed.iso", SEED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "seed.iso").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["seed.iso"]


def test_replaced(tmp_path: Path) -> None:
    """Written again, it is the new one."""
    seed.write(tmp_path / "seed.iso", SEED)
    seed.write(tmp_path / "seed.iso", SEED | {"id": "worker-2"})
    assert read_seed(tmp_path / "seed.iso").id == "worker-2"
