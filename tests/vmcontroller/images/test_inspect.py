"""What a file is, and what it must not be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.users import plain_user
from tests.vmcontroller.images import disks
from tests.vmcontroller.images.disks import DESCRIPTOR, MIB, needs_qemu_img
from vmcontroller.errors import BadImage, ImageDenied, NoSuchImage
from vmcontroller.images.inspect import inspect


def test_raw(tmp_path: Path) -> None:
    """A file with a boot sector is a raw disk as large as itself."""
    found = inspect(disks.raw(tmp_path / "disk"))
    assert (found.format, found.virtual_bytes) == ("raw", MIB)


@needs_qemu_img
@pytest.mark.parametrize("format", ["qcow2", "vdi", "vmdk"])
def test_formats(tmp_path: Path, format: str) -> None:
    """What qemu-img makes is known by its header, whatever the file is called."""
    path = disks.convert(disks.raw(tmp_path / "disk.raw"), format).rename(tmp_path / "disk.img")
    found = inspect(path)
    assert (found.path, found.format, found.virtual_bytes) == (path, format, MIB)


@needs_qemu_img
def test_streamed_vmdk(tmp_path: Path) -> None:
    """The kind that stands in an OVA is known, too."""
    path = disks.convert(disks.raw(tmp_path / "disk.raw"), "vmdk", "-o", "subformat=streamOptimized")
    assert inspect(path).virtual_bytes == MIB


def test_ova(tmp_path: Path) -> None:
    """An archive may be one; whether it is, shows when it is unpacked."""
    assert inspect(disks.ova(tmp_path / "machine.ova", {"machine.ovf": b""})).format == "ova"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no image"),
        (b"some text\n", "no image"),
        (bytes(MIB), "no image"),
        (bytes(510) + b"\x55\xaa" + b"odd", "no image"),
        (b"\x1f\x8b\x08".ljust(1024), "gzip"),
        (b"PK\3\4".ljust(1024), "ZIP"),
        (b"vhdxfile".ljust(1024), "VHDX"),
        (bytes(32768) + b"\1CD001\1", "a CD, not a disk"),
        (b"QFI\xfb\0\0", "ends in its own header"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, what: str) -> None:
    """The sentence says what it is instead."""
    path = tmp_path / "disk"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=what):
        inspect(path)


@pytest.mark.parametrize(
    ("header", "what"), [({"version": 1}, "version 1"), ({"crypt": 1}, "encrypted"), ({"features": 2}, "corrupt")]
)
def test_qcow2_that_nobody_can_use(tmp_path: Path, header: dict[str, int], what: str) -> None:
    """It is said what to do with it."""
    with pytest.raises(BadImage, match=what):
        inspect(disks.qcow2(tmp_path / "disk", **header))


@pytest.mark.parametrize("header", [{"backing": 512}, {"features": 4}])
def test_qcow2_that_names_another_file(tmp_path: Path, header: dict[str, int]) -> None:
    """It could make a hypervisor read any file of the user's."""
    with pytest.raises(ImageDenied, match="another file"):
        inspect(disks.qcow2(tmp_path / "disk", **header))


def test_differencing_vdi(tmp_path: Path) -> None:
    """A disk that needs another one is refused."""
    with pytest.raises(ImageDenied, match="builds on another disk"):
        inspect(disks.vdi(tmp_path / "disk", kind=4))
    assert inspect(disks.vdi(tmp_path / "disk")).virtual_bytes == MIB


@pytest.mark.parametrize(
    "descriptor",
    [
        DESCRIPTOR.format(extent="/etc/shadow"),
        DESCRIPTOR.format(extent="..\\other.vmdk"),
        DESCRIPTOR.format(extent="a.vmdk") + 'RW 2048 SPARSE "b.vmdk"\n',
        DESCRIPTOR.format(extent="a.vmdk").replace("SPARSE", "FLAT"),
        DESCRIPTOR.format(extent="a.vmdk").replace("ffffffff", "12345678"),
        DESCRIPTOR.format(extent="a.vmdk") + 'parentFileNameHint="/home/somebody/disk.vmdk"\n',
        "",
    ],
)
def test_vmdk_that_names_another_file(tmp_path: Path, descriptor: str) -> None:
    """As a part, or as what it builds on."""
    with pytest.raises(ImageDenied):
        inspect(disks.vmdk(tmp_path / "disk", descriptor))


def test_vmdk_in_one_file(tmp_path: Path) -> None:
    """Its only part is itself, under the name that it had when it was made."""
    assert inspect(disks.vmdk(tmp_path / "renamed", DESCRIPTOR.format(extent="disk.vmdk"))).virtual_bytes == MIB


def test_vmdk_that_is_only_a_descriptor(tmp_path: Path) -> None:
    """A text that names the files with the data."""
    (tmp_path / "disk.vmdk").write_text('# Disk DescriptorFile\nversion=1\nRW 2048 FLAT "/etc/shadow" 0\n')
    with pytest.raises(ImageDenied, match="only names the files"):
        inspect(tmp_path / "disk.vmdk")


def test_missing(tmp_path: Path) -> None:
    """What is not there, cannot be looked up, or leads nowhere."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nothing")
    for name in ("nothing", "nothing/disk", "loop", "broken", "nul\0"):
        with pytest.raises(NoSuchImage):
            inspect(tmp_path / name)


def test_not_a_file(tmp_path: Path) -> None:
    """A directory, a device, a pipe or a socket: none is even opened."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path, Path("/dev/zero"), tmp_path / "pipe", tmp_path / "socket"):
            with pytest.raises(ImageDenied, match="name a file"):
                inspect(path)


def test_links(tmp_path: Path) -> None:
    """A link to another name in the directory is followed; one that leads out of it is not."""
    project = tmp_path / "project"
    (project / "images").mkdir(parents=True)
    disk = disks.raw(project / "images" / "disk.raw")
    (project / "default").symlink_to("images/disk.raw")
    assert inspect(project / "default").path == disk
    stranger = disks.raw(tmp_path / "stranger.raw")
    (project / "out").symlink_to("../stranger.raw")
    (project / "far").symlink_to(stranger)
    (project / "images" / "up").symlink_to("../../stranger.raw")
    for name in ("out", "far", "images/up"):
        with pytest.raises(ImageDenied, match="leads out of its directory"):
            inspect(project / name)


def test_a_directory_may_be_a_link(tmp_path: Path) -> None:
    """Where the image's own directory really lies is its user's business."""
    (tmp_path / "big").mkdir()
    disks.raw(tmp_path / "big" / "disk.raw")
    (tmp_path / "images").symlink_to("big")
    assert inspect(tmp_path / "images" / "disk.raw").format == "raw"


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_unreadable() -> None:
    """It is said to make it readable."""
    with plain_user() as home:
        disks.raw(home / "disk").chmod(0)
        with pytest.raises(BadImage, match="make it readable"):
            inspect(home / "disk")
