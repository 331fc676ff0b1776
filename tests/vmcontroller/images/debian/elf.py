"""Kernel modules made by hand: ELF files with nothing but a section .modinfo."""

from __future__ import annotations

import struct


def module(*entries: str) -> bytes:
    """A module that says this of itself, such as ``depends=a,b``."""
    info = b"\0".join(entry.encode() for entry in entries) + b"\0"
    names = b"\0.modinfo\0.shstrtab\0"
    at = 64
    sections = [(0, 0, 0), (1, at, len(info)), (10, at + len(info), len(names))]
    headers_at = at + len(info) + len(names)
    head = bytearray(64)
    head[:4] = b"\x7fELF"
    struct.pack_into("<Q", head, 40, headers_at)
    struct.pack_into("<HHH", head, 58, 64, len(sections), 2)
    table = b"".join(
        struct.pack("<IIQQQQ", name, 1, 0, 0, where, size).ljust(64, b"\0") for name, where, size in sections
    )
    return bytes(head) + info + names + table
