"""The kernel and the modules that are taken out of a package."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.vmcontroller.images.debian.elf import module
from vmcontroller.errors import BuildFailed
from vmcontroller.images.debian import kernel

MODULES = {
    "drivers/block/virtio_blk.ko": module("alias=virtio:d00000002v*", "depends=virtio"),
    "drivers/virtio/virtio.ko": module("license=GPL", "depends="),
    "drivers/ata/ahci.ko": module("alias=pci:v0*", "alias=pci:v1*", "depends=libata"),
    "drivers/ata/libata.ko": module("depends="),
    "fs/ext4/ext4.ko": module("depends=jbd2,crc16"),
    "fs/jbd2/jbd2.ko": module("depends="),
    "lib/crc16.ko": module("depends="),
    "drivers/gpu/nobody-needs-it.ko": module("depends="),
}


def package(directory: Path, files: dict[str, bytes]) -> Path:
    """A kernel's package."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb (Debian package dpkg)")
    root = directory / "root"
    for name, octets in {"boot/vmlinuz-6.1-amd64": b"kernel"}.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(octets)
    for name, octets in files.items():
        path = root / "lib/modules/6.1-amd64/kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)
    (root / "DEBIAN").mkdir()
    told = "Package: linux-image-6.1-amd64\nVersion: 6.1\nArchitecture: amd64\nMaintainer: x <x@x>\nDescription: x\n"
    (root / "DEBIAN" / "control").write_text(told)
    made = directory / "linux.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", root, made], check=True, capture_output=True)
    return made


def test_read(tmp_path: Path) -> None:
    """The kernel and the modules that could matter; graphics are not even looked at."""
    found = kernel.read(package(tmp_path, MODULES))
    assert (found.version, found.image) == ("6.1-amd64", b"kernel")
    assert sorted(found.modules) == ["ahci", "crc16", "ext4", "jbd2", "libata", "virtio", "virtio_blk"]
    assert found.modules["ahci"].aliases == ("pci:v0*", "pci:v1*")


def test_needed(tmp_path: Path) -> None:
    """Each after what it depends on, once; what is built in is left out."""
    found = kernel.read(package(tmp_path, MODULES))
    assert found.needed(["ext4", "virtio_blk", "rtc", "jbd2"]) == ["jbd2", "crc16", "ext4", "virtio", "virtio_blk"]


def test_copied(tmp_path: Path) -> None:
    """With the tables in which modprobe looks."""
    found = kernel.read(package(tmp_path, MODULES))
    found.copy(found.needed(["ext4", "ahci"]), tmp_path / "guest")
    place = tmp_path / "guest" / "lib/modules/6.1-amd64"
    assert (place / "ext4.ko").read_bytes() == MODULES["fs/ext4/ext4.ko"]
    assert "ext4.ko: crc16.ko jbd2.ko\n" in (place / "modules.dep").read_text()
    assert (place / "modules.alias").read_text() == "alias pci:v0* ahci\nalias pci:v1* ahci\n"


def test_a_module_that_is_missing(tmp_path: Path) -> None:
    """One that another depends on is never silently left out: its device would be missing in the guest."""
    found = kernel.read(package(tmp_path, MODULES | {"fs/ext4/ext4.ko": module("depends=jbd2,odd")}))
    with pytest.raises(BuildFailed, match="lacks the module odd"):
        found.needed(["ext4"])


def test_another_kernel(tmp_path: Path) -> None:
    """A kernel that could not boot everywhere is refused."""
    modules = {name: octets for name, octets in MODULES.items() if "ahci" not in name}
    with pytest.raises(BuildFailed, match="generic kernel"):
        kernel.read(package(tmp_path, modules))


def test_damaged_package(tmp_path: Path) -> None:
    """It is said to remove it."""
    made = package(tmp_path, MODULES)
    made.write_bytes(made.read_bytes()[:2000])
    with pytest.raises(BuildFailed, match="remove it"):
        kernel.read(made)


def test_unpacked() -> None:
    """The ELF file inside of a boot loader's kernel; nothing where it is packed in a way that is not known."""
    elf = b"\x7fELF" + bytes(1000)
    assert kernel.unpacked(b"code" + lzma.compress(elf) + b"size") == elf
    assert kernel.unpacked(b"code") == b""
    assert kernel.unpacked(b"code" + lzma.compress(b"text")) == b""
    assert kernel.unpacked(b"code" + lzma.compress(elf)[:10] + b"x" * 50) == b""
