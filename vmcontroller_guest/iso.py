"""Reads one file in the root directory of an ISO 9660 image (ECMA-119), without mounting it.

It knows no more of the format than that takes: the primary volume descriptor and directory records.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_SECTOR = 2048
_DESCRIPTOR = 16 * _SECTOR
#: A root directory, or a file in it, that is larger than this is none of ours.
_LARGEST = 1024 * 1024


def is_image(path: Path) -> bool:
    """Whether there is an ISO 9660 file system on a file or device. OSError."""
    with path.open("rb") as image:
        return _descriptor(image) is not None


def label(path: Path) -> str:
    """The volume's label, "" when there is none to read."""
    try:
        with path.open("rb") as image:
            return _label(_descriptor(image) or b"")
    except OSError:
        return ""


def read_file(path: Path, wanted: str, name: str) -> bytes:
    """The octets of a file on an image labelled ``wanted``. ValueError when there is no such file. OSError."""
    with path.open("rb") as image:
        descriptor = _descriptor(image)
        if descriptor is None or _label(descriptor) != wanted:
            raise ValueError(f"it is no ISO image labelled {wanted}")
        directory = _extent(image, descriptor[156:190])
        record = _record(directory, name)
        return _extent(image, record)


def _descriptor(image: BinaryIO) -> bytes | None:
    image.seek(_DESCRIPTOR)
    found = image.read(_SECTOR)
    return found if found[:7] == b"\x01CD001\x01" and len(found) == _SECTOR else None


def _label(descriptor: bytes) -> str:
    return descriptor[40:72].decode("ascii", "replace").rstrip(" \0")


def _extent(image: BinaryIO, record: bytes) -> bytes:
    """What a directory record points at."""
    sector, length = struct.unpack_from("<I", record, 2)[0], struct.unpack_from("<I", record, 10)[0]
    if length > _LARGEST:
        raise ValueError("a file or directory on the image is larger than a seed can be")
    image.seek(sector * _SECTOR)
    return image.read(length)


def _record(directory: bytes, name: str) -> bytes:
    at = 0
    while at + 34 <= len(directory):
        length = directory[at]
        if length == 0:  # records do not cross sectors: the rest of this one is empty
            at = (at // _SECTOR + 1) * _SECTOR
            continue
        record = directory[at : at + length]
        identifier = record[33 : 33 + record[32]].decode("ascii", "replace")
        if identifier.partition(";")[0].upper() == name:
            return record
        at += length
    raise ValueError(f"the image holds no {name}")
