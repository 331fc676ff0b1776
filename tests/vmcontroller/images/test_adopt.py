"""What is found in other people's images, and what installs the agent in them."""

from __future__ import annotations

import base64
import io
import json
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.vmcontroller.images import disks
from tests.vmcontroller.images.disks import MIB, needs_qemu_img
from vmcontroller.errors import BadImage, BadRequest
from vmcontroller.images import adopt, disklayout
from vmcontroller.images.manifest import FILE, Manifest
from vmcontroller_guest import iso

needs_e2fsprogs = pytest.mark.skipif(
    not (shutil.which("debugfs") and shutil.which("mke2fs")),
    reason="needs mke2fs and debugfs (Debian package e2fsprogs)",
)
SYSTEM = {
    "usr/lib/os-release": 'PRETTY_NAME="Some Linux 12"\n',
    "usr/bin/python3.11": "",
    "usr/bin/cloud-init": "",
    "usr/lib/systemd/systemd": "",
}


def system(directory: Path, files: dict[str, str], code: bytes = b"\xfa", flag: int = 0x80) -> Path:
    """A raw disk of one partition with these files on it."""
    tree = directory / "tree"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    disk = directory / "disk.raw"
    entry = struct.pack("<B3sB3sII", flag, b"", 0x83, b"", 2048, 8 * 2048)
    with disk.open("wb") as file:
        file.write((code.ljust(446, b"\0") + entry).ljust(510, b"\0") + b"\x55\xaa")
        file.truncate(9 * MIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-E", f"offset={MIB}", "-d", tree, disk, str(8 * 1024)]
    subprocess.run(command, check=True)
    return disk


def missing(file: Path) -> list[str]:
    """What it lacks."""
    return [finding.what for finding in adopt.look(file) if not finding.ok]


@needs_e2fsprogs
@needs_qemu_img
def test_cloud_image(tmp_path: Path) -> None:
    """A distribution's image lacks the agent alone, in whatever format it comes."""
    raw = system(tmp_path, SYSTEM)
    for path in (raw, disks.convert(raw, "qcow2"), disks.convert(raw, "vmdk")):
        assert missing(path) == ["the agent"]
        told = [finding.what for finding in adopt.look(path)]
        assert told[1:] == ["a BIOS can boot it", "Some Linux 12", "Python 3.11", "systemd", "cloud-init", "the agent"]


@needs_e2fsprogs
@needs_qemu_img
def test_appliance(tmp_path: Path) -> None:
    """The disk in an OVA is looked into as any other."""
    disk = disks.convert(system(tmp_path, SYSTEM), "vmdk", "-o", "subformat=streamOptimized")
    appliance = disks.ova(tmp_path / "some.ova", {"some.ovf": disks.OVF.encode(), "disk.vmdk": disk.read_bytes()})
    assert missing(appliance) == ["the agent"]


@needs_e2fsprogs
def test_old_system(tmp_path: Path) -> None:
    """What the agent needs and is not there is told, each with what to do."""
    raw = system(tmp_path, {"usr/bin/python3.9": ""}, code=b"", flag=0)
    assert missing(raw) == ["a boot loader for a BIOS", "Python 3.11", "systemd", "cloud-init", "the agent"]
    assert all(finding.remedy for finding in adopt.look(raw) if not finding.ok)


@needs_e2fsprogs
def test_agent_inside(tmp_path: Path) -> None:
    """Then nothing else matters."""
    raw = system(tmp_path, SYSTEM | {"usr/lib/vmcontroller/vmcontroller_guest/__init__.py": ""})
    assert missing(raw) == []
    assert "ok    the agent is inside" in [finding.line() for finding in adopt.look(raw)]


def test_built_here(tmp_path: Path) -> None:
    """An image with our manifest has the agent."""
    disk = disks.raw(tmp_path / "disk.raw")
    (tmp_path / FILE).write_text(Manifest("0" * 64, "raw", MIB, agent="1.0", files={"disk.raw": "0" * 64}).text())
    assert [finding.what for finding in adopt.look(disk)] == ["raw, built by vmcontroller with the agent 1.0"]


def test_no_linux(tmp_path: Path) -> None:
    """A disk that cannot be looked into may hold anything."""
    assert len(missing(disks.raw(tmp_path / "disk.raw"))) == 2
    with pytest.raises(BadImage):
        adopt.look(Path(__file__))


def test_layout_of_a_gpt(tmp_path: Path) -> None:
    """Its entries are read, and the one that a BIOS boots from is known."""
    entries = [
        b"Hah!IdontNeedEFI".ljust(32, b"x") + struct.pack("<QQ", 34, 40),
        b"linux".ljust(32) + struct.pack("<QQ", 2048, 1),
    ]
    mbr = b"\xfa".ljust(446, b"\0") + struct.pack("<B3sB3sII", 0, b"", 0xEE, b"", 1, 99)
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, 128)
    table = b"".join(entry.ljust(128, b"\0") for entry in entries)
    disk = io.BytesIO(mbr.ljust(510, b"\0") + b"\x55\xaa" + header.ljust(512, b"\0") + table.ljust(128 * 128, b"\0"))
    assert disklayout.read(disk) == disklayout.Layout(True, (34 * 512, 2048 * 512))
    assert disklayout.read(io.BytesIO(mbr.ljust(510, b"\0") + b"\x55\xaa")) == disklayout.Layout(False, ())


def test_user_data(tmp_path: Path) -> None:
    """It is a cloud-config that carries the agent; on the ISO image are the two files that NoCloud wants."""
    adopt.write(tmp_path / "made")
    text = (tmp_path / "made" / "user-data").read_text()
    head, _, rest = text.partition("\n")
    assert head == "#cloud-config"
    told = json.loads(rest)
    packed = base64.b64decode(told["write_files"][0]["content"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        names = archive.getnames()
    assert "usr/lib/vmcontroller/vmcontroller_guest/install.py" in names
    assert "usr/lib/vmcontroller/vmcontroller/wire/door.py" in names
    assert not any("hypervisors" in name for name in names)
    assert iso.label(tmp_path / "made" / "cidata.iso") == "cidata"
    assert text.encode() in (tmp_path / "made" / "cidata.iso").read_bytes()
    with pytest.raises(BadRequest, match="exists already"):
        adopt.write(tmp_path / "made")
