"""What an image file is, told from its first octets: its format, and how large a disk it holds.

A file of a stranger's must not lead to other files: backing files, extents elsewhere, links and devices are refused.
It reads headers and runs nothing; whether the rest is whole, qemuimg.py finds out.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmcontroller.errors import BadImage, ImageDamaged, ImageDenied, NoSuchImage

FORMATS = ("raw", "qcow2", "vdi", "vmdk", "ova")
_SECTOR = 512
_KNOWN = f"; a VM can be made from {', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
_HEAD = 64 * 1024
#: A VMDK's descriptor is some lines of text.
_LARGEST_DESCRIPTOR = 1024 * 1024
#: Formats that are recognised to be refused by name: where the mark stands, and what it marks.
_STRANGERS = (
    (0, b"vhdxfile", "a VHDX disk"),
    (0, b"conectix", "a VHD disk"),
    (0, b"QED\0", "a QED disk"),
    (0, b"COWD", "an extent of an ESX disk"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it"),
    (0, b"\xfd7zXZ\0", "compressed with xz: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"),
    (0, b"BZh", "compressed with bzip2: unpack it"),
    (0, b"PK\3\4", "a ZIP archive: unpack it"),
    (32769, b"CD001", "a CD, not a disk"),
)


@dataclass(frozen=True)
class ImageFile:
    """A file that can be an image. ``path`` is the file itself, behind all links.

    ``virtual_bytes`` is the size of the disk, in octets; an OVA's is 0: it is that of the disk inside.
    """

    path: Path
    format: str
    virtual_bytes: int


def inspect(image: Path) -> ImageFile:
    """Look at an image. NoSuchImage, ImageDenied, ImageDamaged, BadImage."""
    path = locate(image)
    try:
        with path.open("rb") as file:
            return _look(path, file)
    except OSError as error:
        raise BadImage(f"the image {image} cannot be read: {error.strerror}; make it readable") from None


def locate(image: Path) -> Path:
    """The file behind a path; a link may lead to a file in its own directory or below. NoSuchImage, ImageDenied."""
    try:
        home = image.absolute().parent.resolve(strict=True)
        path = image.resolve(strict=True)
        kind = path.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "the path cannot be followed"
        remedy = "name a file that is there, or one that vmcontroller image list shows"
        raise NoSuchImage(f"the image {str(image)!r} cannot be found: {why}; {remedy}") from None
    if not path.is_relative_to(home):
        raise ImageDenied(f"the image {image} is a link that leads out of its directory; name the file itself")
    if not stat.S_ISREG(kind):
        raise ImageDenied(f"the image {image} is {_kind(kind)}; name a file")
    return path


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a pipe or a socket")


def _look(path: Path, file: BinaryIO) -> ImageFile:
    head = file.read(_HEAD)
    size = os.fstat(file.fileno()).st_size
    for at, mark, what in _STRANGERS:
        if head[at : at + len(mark)] == mark:
            raise BadImage(f"the image {path} is {what}{_KNOWN}")
    for name, is_it, measure in _HEADERS:
        if is_it(head):
            return ImageFile(path, name, _measured(path, file, head, measure))
    if head[510:512] == b"\x55\xaa" and size % _SECTOR == 0:
        return ImageFile(path, "raw", size)
    raise BadImage(f"{path} is no image{_KNOWN}; a raw one has a boot sector and whole sectors of {_SECTOR} octets")


_Measure = Callable[[Path, BinaryIO, bytes], int]


def _measured(path: Path, file: BinaryIO, head: bytes, measure: _Measure) -> int:
    try:
        return measure(path, file, head)
    except struct.error:
        raise BadImage(f"the image {path} ends in its own header; get it anew") from None


def _qcow2(path: Path, file: BinaryIO, head: bytes) -> int:
    """The field names are those of QEMU's docs/interop/qcow2.txt."""
    version, backing_file_offset = struct.unpack_from(">IQ", head, 4)
    size, crypt_method = struct.unpack_from(">QI", head, 24)
    incompatible_features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    if version not in (2, 3):
        raise BadImage(f"the image {path} is qcow of version {version}; convert it with qemu-img convert -O qcow2")
    if backing_file_offset:
        raise ImageDenied(f"the image {path} builds on another file; make it whole with qemu-img convert -O qcow2")
    if incompatible_features & 4:
        raise ImageDenied(f"the image {path} keeps its data in another file; make it whole with qemu-img convert")
    if incompatible_features & 2:
        raise BadImage(f"the image {path} is marked as corrupt; mend it with qemu-img check -r all, or get it anew")
    if crypt_method:
        raise BadImage(f"the image {path} is encrypted; decrypt it with qemu-img convert")
    return int(size)


def _vdi(path: Path, file: BinaryIO, head: bytes) -> int:
    """Offsets as VirtualBox's VDICore.h has them, for version 1.1 of the header."""
    (kind,) = struct.unpack_from("<I", head, 0x4C)
    (data_at,) = struct.unpack_from("<I", head, 0x158)
    size, block, _, _, allocated = struct.unpack_from("<QIIII", head, 0x170)
    if kind not in (1, 2):
        raise ImageDenied(f"the image {path} builds on another disk; make it whole with VBoxManage clonemedium")
    if os.fstat(file.fileno()).st_size < data_at + block * allocated:
        raise ImageDamaged(f"the image {path} lacks its end; get it anew")
    return int(size)


def _sparse_vmdk(path: Path, file: BinaryIO, head: bytes) -> int:
    """The header of a sparse extent, as VMware's Virtual Disk Format 5.0 has it; sizes are in sectors."""
    capacity, _, descriptor_at, descriptor_length = struct.unpack_from("<QQQQ", head, 12)
    if descriptor_at == 0:
        raise BadImage(f"the image {path} is one part of a VMDK; convert the whole disk with qemu-img convert -O qcow2")
    if descriptor_length * _SECTOR > _LARGEST_DESCRIPTOR:
        raise BadImage(f"the image {path} has a descriptor too large to be one; get it anew")
    file.seek(descriptor_at * _SECTOR)
    descriptor = file.read(descriptor_length * _SECTOR).split(b"\0")[0].decode("utf-8", "replace")
    _check_descriptor(path, descriptor)
    return int(capacity) * _SECTOR


_PARENT = re.compile(r"^\s*(?:parentCID\s*=\s*(?!ffffffff\b)|parentFileNameHint\s*=)", re.MULTILINE | re.IGNORECASE)
_EXTENT = re.compile(r'^\s*(?:RW|RDONLY)\s+\d+\s+([A-Z]+)\s*(?:"([^"\n]*)")?', re.MULTILINE)


def _check_descriptor(path: Path, descriptor: str) -> None:
    """A disk in one file: no parent, and one extent, which is this file under the name that it had once."""
    if _PARENT.search(descriptor):
        raise ImageDenied(f"the image {path} builds on another disk; make it whole with qemu-img convert")
    extents = _EXTENT.findall(descriptor)
    if len(extents) != 1 or extents[0][0] != "SPARSE" or "/" in extents[0][1] or "\\" in extents[0][1]:
        raise ImageDenied(f"the image {path} names other files as its parts; put it into one with qemu-img convert")


def _text_vmdk(path: Path, file: BinaryIO, head: bytes) -> int:
    raise ImageDenied(
        f"the image {path} only names the files that hold its data; put it into one with qemu-img convert"
    )


def _ova(path: Path, file: BinaryIO, head: bytes) -> int:
    return 0


#: How each format begins, and how its disk is measured.
_HEADERS: tuple[tuple[str, Callable[[bytes], bool], _Measure], ...] = (
    ("qcow2", lambda head: head.startswith(b"QFI\xfb"), _qcow2),
    ("vdi", lambda head: head[64:68] == b"\x7f\x10\xda\xbe", _vdi),
    ("vmdk", lambda head: head.startswith(b"KDMV"), _sparse_vmdk),
    ("vmdk", lambda head: head.lstrip().startswith(b"# Disk DescriptorFile"), _text_vmdk),
    ("ova", lambda head: head[257:262] == b"ustar", _ova),
)
