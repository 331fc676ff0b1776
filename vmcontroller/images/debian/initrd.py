"""The initial RAM disk: busybox, a script, and the modules on the way to the root disk. Written without any tool."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from vmcontroller.images.debian import payload
from vmcontroller.images.debian.kernel import AT_BOOT, Kernel

_DIRECTORY, _FILE, _LINK = 0o040755, 0o100755, 0o120777
_DIRECTORIES = ("bin", "dev", "proc", "sys", "root")


def build(kernel: Kernel, busybox: bytes, work: Path) -> bytes:
    """The RAM disk's octets; ``work`` is an empty directory."""
    kernel.copy(kernel.needed(AT_BOOT), work)
    entries: dict[str, tuple[int, bytes]] = dict.fromkeys(_DIRECTORIES, (_DIRECTORY, b""))
    entries["bin/busybox"] = (_FILE, busybox)
    entries["bin/sh"] = (_LINK, b"busybox")
    entries["init"] = (_FILE, payload.script("initrd-init"))
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work).as_posix()
        entries[name] = (_DIRECTORY, b"") if path.is_dir() else (_FILE, path.read_bytes())
    return gzip.compress(b"".join(_archive(entries)), compresslevel=6, mtime=0)


def _archive(entries: dict[str, tuple[int, bytes]]) -> Iterator[bytes]:
    """The format "newc" of cpio, as the kernel's early-userspace/buffer-format.rst has it."""
    for number, (name, (mode, data)) in enumerate(sorted(entries.items()), 1):
        yield _entry(number, mode, name, data)
    yield _entry(0, 0, "TRAILER!!!", b"")


def _entry(number: int, mode: int, name: str, data: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(head + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
