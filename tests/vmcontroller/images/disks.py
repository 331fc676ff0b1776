"""Small images for the tests: headers made by hand, and whole ones by qemu-img."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img (Debian package qemu-utils)")
MIB = 1024 * 1024


def raw(path: Path, text: str = "on the disk") -> Path:
    """A disk of 1 MiB with a boot sector, and a text in its second sector."""
    sector = bytes(510) + b"\x55\xaa"
    path.write_bytes((sector + text.encode()).ljust(MIB, b"\0"))
    return path


def convert(source: Path, format: str, *options: str) -> Path:
    """The same disk in another format, beside it."""
    target = source.with_suffix(f".{format}")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, *options, source, target], check=True)
    return target


def text_of(path: Path, format: str) -> bytes:
    """What stands in the disk's second sector."""
    done = subprocess.run(
        ["qemu-img", "dd", "-f", format, "-O", "raw", f"if={path}", f"of={path}.peek", "bs=512", "count=2"], check=True
    )
    assert done.returncode == 0
    return Path(f"{path}.peek").read_bytes()[512:].rstrip(b"\0")


def qcow2(path: Path, version: int = 3, backing: int = 0, crypt: int = 0, features: int = 0) -> Path:
    """The header alone of a disk of 1 MiB."""
    head = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing, 10, 16, MIB, crypt)
    path.write_bytes((head.ljust(72, b"\0") + struct.pack(">Q", features)).ljust(MIB, b"\0"))
    return path


def vdi(path: Path, kind: int = 1) -> Path:
    """The header alone of a disk of 1 MiB."""
    head = bytearray(0x200)
    head[64:68] = b"\x7f\x10\xda\xbe"
    struct.pack_into("<I", head, 0x4C, kind)
    struct.pack_into("<Q", head, 0x170, MIB)
    path.write_bytes(bytes(head))
    return path


def vmdk(path: Path, descriptor: str) -> Path:
    """The header and the descriptor alone of a disk of 1 MiB."""
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, MIB // 512, 128, 1, 2)
    path.write_bytes(head.ljust(512, b"\0") + descriptor.encode().ljust(1024, b"\0"))
    return path


DESCRIPTOR = '# Disk DescriptorFile\nparentCID=ffffffff\nRW 2048 SPARSE "{extent}"\n'
OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="disk.vmdk"/><File ovf:id="file2" ovf:href="notes.txt"/></References>
  <DiskSection><Disk ovf:diskId="vmdisk1" ovf:fileRef="file1"/></DiskSection>
</Envelope>
"""


def ova(path: Path, members: Mapping[str, bytes], kinds: Mapping[str, bytes] | None = None) -> Path:
    """An archive of these members; ``kinds`` makes some of them something else than files."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), (kinds or {}).get(name, tarfile.REGTYPE)
            archive.addfile(member, io.BytesIO(data))
    return path


def manifest_of(name: str, data: bytes) -> bytes:
    """An OVA's manifest."""
    return f"SHA256({name})= {hashlib.sha256(data).hexdigest()}\n".encode()
