"""An image is read again, and what changed is found."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.vmcontroller.images import disks
from tests.vmcontroller.images.test_shelf import put
from vmcontroller.errors import ImageDamaged, NoSuchImage
from vmcontroller.images.manifest import FILE, Manifest
from vmcontroller.images.shelf import Shelf
from vmcontroller.images.verify import verify
from vmcontroller.images.work import Work


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "images")


def test_whole(shelf: Shelf) -> None:
    """By its name or its hash; all of its files are read."""
    sha256 = put(shelf)
    shelf.name("default", sha256)
    told: list[tuple[int, int]] = []
    assert verify(shelf, "default", Work(lambda done, total: told.append((done, total)))) == sha256
    assert verify(shelf, sha256[:10], Work()) == sha256
    assert told[-1] == (disks.MIB + len("kernel"), disks.MIB + len("kernel"))


@pytest.mark.parametrize("name", ["disk.raw", "kernel", "disk.vdi"])
def test_changed(shelf: Shelf, name: str) -> None:
    """One octet is enough, in any of its files, also in what it was converted to."""
    sha256 = put(shelf)
    place = shelf.directory / sha256
    (place / "draft").write_bytes(b"converted")
    shelf.add_disk(sha256, place / "draft", "vdi", hashlib.sha256(b"converted").hexdigest())
    verify(shelf, sha256, Work())
    octets = bytearray((place / name).read_bytes())
    octets[-1] ^= 1
    (place / name).write_bytes(octets)
    with pytest.raises(ImageDamaged, match=name):
        verify(shelf, sha256, Work())


def test_gone(shelf: Shelf) -> None:
    """A file that is missing is told, too."""
    sha256 = put(shelf)
    (shelf.directory / sha256 / "kernel").unlink()
    with pytest.raises(ImageDamaged, match="is gone"):
        verify(shelf, sha256, Work())
    with pytest.raises(NoSuchImage):
        verify(shelf, "nothing", Work())


def test_elsewhere(shelf: Shelf, tmp_path: Path) -> None:
    """A file is held against the manifest beside it, if one is."""
    disk = disks.raw(tmp_path / "disk.raw")
    sha256 = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert verify(shelf, str(disk), Work()) == sha256
    told = Manifest("0" * 64, "raw", disks.MIB, files={"disk.raw": "0" * 64})
    (tmp_path / FILE).write_text(told.text())
    with pytest.raises(ImageDamaged):
        verify(shelf, str(disk), Work())
