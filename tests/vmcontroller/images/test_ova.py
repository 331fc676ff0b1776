"""One disk comes out of an OVA, and nothing else."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.vmcontroller.images import disks
from tests.vmcontroller.images.disks import OVF
from vmcontroller.errors import BadImage, ImageDamaged, ImageDenied
from vmcontroller.images.ova import unpack
from vmcontroller.images.work import Work

DISK = b"the disk" * 1000
WHOLE = {"machine.ovf": OVF.encode(), "disk.vmdk": DISK, "notes.txt": b"not a disk"}


def unpacked(path: Path) -> Path:
    """Where the disk is put."""
    target = path.with_name("out") / "disk"
    target.parent.mkdir()
    unpack(path, target, Work())
    return target


@pytest.mark.parametrize("more", [{}, {"machine.mf": disks.manifest_of("disk.vmdk", DISK)}])
def test_disk(tmp_path: Path, more: dict[str, bytes]) -> None:
    """The file that the description calls a disk; the manifest is held against it."""
    target = unpacked(disks.ova(tmp_path / "machine.ova", WHOLE | more))
    assert target.read_bytes() == DISK
    assert list(target.parent.iterdir()) == [target]


def test_progress(tmp_path: Path) -> None:
    """It is told in octets of the disk."""
    told: list[tuple[int, int]] = []
    work = Work(lambda done, total: told.append((done, total)))
    work.plan(len(DISK))
    unpack(disks.ova(tmp_path / "machine.ova", WHOLE), tmp_path / "disk", work)
    assert told == [(0, len(DISK)), (len(DISK), len(DISK))]


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "in/escaped", "in\\escaped", ".."])
def test_a_path_that_leads_out(tmp_path: Path, name: str) -> None:
    """No name in an archive is a path, not even that of its disk."""
    evil = WHOLE | {"machine.ovf": OVF.replace("disk.vmdk", name).encode(), name: DISK}
    with pytest.raises(ImageDenied, match="leads out of its folder"):
        unpacked(disks.ova(tmp_path / "machine.ova", evil))
    assert list(tmp_path.rglob("*escaped*")) == []
    assert not Path("/tmp/escaped").exists()


def test_a_description_that_leads_out(tmp_path: Path) -> None:
    """Nor is what the description says of its disk."""
    evil = WHOLE | {"machine.ovf": OVF.replace("disk.vmdk", "../../etc/passwd").encode()}
    with pytest.raises(ImageDenied, match="leads out of its folder"):
        unpacked(disks.ova(tmp_path / "machine.ova", evil))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_file(tmp_path: Path, kind: bytes) -> None:
    """A link, a device or a directory in an archive is refused."""
    with pytest.raises(ImageDenied, match="is no file"):
        unpacked(disks.ova(tmp_path / "machine.ova", WHOLE | {"odd": b""}, {"odd": kind}))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"machine.ovf": b"<a"}, "cannot be read"),
        ({"machine.ovf": b"<Envelope/>"}, "0 disks"),
        ({"machine.ovf": OVF.replace("file2", "file1").encode()}, None),
        ({"machine.ovf": OVF.replace("disk.vmdk", "other.vmdk").encode()}, "lacks its disk"),
        ({"machine.ovf": OVF.replace("<Disk ", '<Disk ovf:fileRef="file2" /><Disk ').encode()}, "2 disks"),
        (
            {"machine.ovf": OVF.replace('ovf:id="file1"', 'ovf:id="file1" ovf:compression="gzip"').encode()},
            "compressed",
        ),
        ({"machine.ovf": b" " * (1 << 21)}, "short text"),
        ({f"file-{number}": b"" for number in range(100)}, "more than 100"),
    ],
)
def test_what_is_no_machine_of_one_disk(tmp_path: Path, change: dict[str, bytes], what: str | None) -> None:
    """The sentence says what is wrong."""
    path = disks.ova(tmp_path / "machine.ova", WHOLE | change)
    if what is None:
        assert unpacked(path).read_bytes() == b"not a disk"
    else:
        with pytest.raises(BadImage, match=what):
            unpacked(path)


def test_entities(tmp_path: Path) -> None:
    """A description that declares something of its own is not even parsed."""
    bomb = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    with pytest.raises(ImageDenied, match="declarations of its own"):
        unpacked(disks.ova(tmp_path / "machine.ova", WHOLE | {"machine.ovf": bomb}))


def test_no_description(tmp_path: Path) -> None:
    """Any other archive is none."""
    with pytest.raises(BadImage, match="no OVA"):
        unpacked(disks.ova(tmp_path / "machine.ova", {"disk.vmdk": DISK}))


def test_wrong_manifest(tmp_path: Path) -> None:
    """A disk that is not the one that was packed is refused."""
    wrong = {"machine.mf": disks.manifest_of("disk.vmdk", b"another")}
    with pytest.raises(ImageDamaged):
        unpacked(disks.ova(tmp_path / "machine.ova", WHOLE | wrong))


@pytest.mark.parametrize("length", [700, 3000])
def test_truncated(tmp_path: Path, length: int) -> None:
    """So is one whose archive ends too early."""
    path = disks.ova(tmp_path / "machine.ova", WHOLE)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadImage):
        unpacked(path)
