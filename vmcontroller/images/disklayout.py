"""How a disk is divided: the partitions of an MBR or a GPT, and whether a BIOS can boot it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_SECTOR = 512
_ACTIVE, _PROTECTIVE = 0x80, 0xEE
#: The GPT type of a partition that GRUB keeps its core in, as it is stored.
_BIOS_BOOT = b"Hah!IdontNeedEFI"
_MOST_ENTRIES = 256


@dataclass(frozen=True)
class Layout:
    """``partitions`` are the offsets, in octets, at which they begin; a disk without any has its file system at 0."""

    boots: bool
    partitions: tuple[int, ...]


def read(disk: BinaryIO) -> Layout:
    """Of a raw disk. OSError."""
    sector = _at(disk, 0, _SECTOR).ljust(_SECTOR, b"\0")
    entries = [struct.unpack_from("<BxxxBxxxII", sector, 446 + 16 * number) for number in range(4)]
    has_code = any(sector[:440]) and sector[510:] == b"\x55\xaa"
    if any(kind == _PROTECTIVE for _, kind, _, _ in entries):
        kinds = _gpt(disk)
        return Layout(has_code and any(kind == _BIOS_BOOT for kind, _ in kinds), tuple(at for _, at in kinds))
    used = [(flag, start * _SECTOR) for flag, kind, start, size in entries if kind and size]
    return Layout(has_code and any(flag == _ACTIVE for flag, _ in used), tuple(at for _, at in used) or (0,))


def _gpt(disk: BinaryIO) -> list[tuple[bytes, int]]:
    """Type and offset of each entry; UEFI's specification, 5.3, has the fields."""
    header = _at(disk, _SECTOR, 92).ljust(92, b"\0")
    at, count, size = struct.unpack_from("<QII", header, 72)
    if header[:8] != b"EFI PART" or size < 128:
        return []
    found = [_at(disk, at * _SECTOR + number * size, 128) for number in range(min(count, _MOST_ENTRIES))]
    used = [entry for entry in found if len(entry) == 128 and any(entry[:16])]
    return [(entry[:16], struct.unpack_from("<Q", entry, 32)[0] * _SECTOR) for entry in used]


def _at(disk: BinaryIO, offset: int, size: int) -> bytes:
    disk.seek(offset)
    return disk.read(size)
