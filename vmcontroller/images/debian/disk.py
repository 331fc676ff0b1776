"""The guest's disk: a boot sector, a small FAT partition with syslinux, kernel and initrd, and the root in ext4.

No loop device, no mount, no root: every program that is called writes into a plain file, at an offset. Whatever such
programs make up by themselves (identifiers, hash seeds, times) is told to them: the same input gives the same octets.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from vmcontroller.images.debian import tools
from vmcontroller.images.debian.tree import Tree

LABEL = "vmcontroller"
MIB = 1024 * 1024
SECTOR = 512
BOOT_AT, BOOT_MIB = 1 * MIB, 48
ROOT_AT = BOOT_AT + BOOT_MIB * MIB
_FAT, _LINUX, _ACTIVE = 0x0E, 0x83, 0x80
#: Any numbers will do; they only must not change.
_SIGNATURE = 0x764D4331
_SERIAL = "764d4331"
_UUID = "764d4331-5eed-4c0d-9a11-c0ffee000001"
_HASH_SEED = "764d4331-5eed-4c0d-9a11-c0ffee000002"
#: Octets of disk for each inode: projects' files are few and large, and inodes take room and time.
_INODE_RATIO = 65536
_JOURNAL_MB = 16


def write(disk: Path, size_mb: int, boot: Path, tree: Tree, epoch: int) -> None:
    """Make the disk, a raw image with holes. ``boot`` is the directory with what the FAT partition shall hold."""
    with disk.open("xb") as file:
        file.truncate(size_mb * MIB)
        file.write(_mbr(size_mb * MIB))
    _write_boot(disk, boot, epoch)
    _write_root(disk, size_mb, tree, epoch)


def _mbr(size: int) -> bytes:
    """Boot code and a table of two partitions; a BIOS of today reads the sector numbers alone."""
    code = tools.MBR.read_bytes()[:440]
    boot = _partition(_ACTIVE, _FAT, BOOT_AT, ROOT_AT - BOOT_AT)
    root = _partition(0, _LINUX, ROOT_AT, size - ROOT_AT)
    return code.ljust(440, b"\0") + struct.pack("<IH", _SIGNATURE, 0) + boot + root + bytes(32) + b"\x55\xaa"


def _partition(flag: int, kind: int, at: int, size: int) -> bytes:
    beyond = b"\xfe\xff\xff"
    return struct.pack("<B3sB3sII", flag, beyond, kind, beyond, at // SECTOR, size // SECTOR)


def _write_boot(disk: Path, boot: Path, epoch: int) -> None:
    place = f"{disk}@@{BOOT_AT}"
    sectors, hidden = (ROOT_AT - BOOT_AT) // SECTOR, BOOT_AT // SECTOR
    geometry = ("-T", str(sectors), "-h", "255", "-s", "63", "-H", str(hidden))
    tools.run(["mformat", "-i", place, "-N", _SERIAL, "-v", "VMCBOOT", *geometry, "::"], epoch)
    for file in sorted(boot.iterdir()):
        os.utime(file, (epoch, epoch))
        tools.run(["mcopy", "-i", place, "-m", file, f"::{file.name}"], epoch)
    tools.run(["syslinux", "--install", "--offset", str(BOOT_AT), disk], epoch)


def _write_root(disk: Path, size_mb: int, tree: Tree, epoch: int) -> None:
    extended = (
        f"offset={ROOT_AT},hash_seed={_HASH_SEED},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    )
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-L", LABEL, "-U", _UUID, "-E", extended]
    command += ["-m", "0", "-i", str(_INODE_RATIO), "-J", f"size={_JOURNAL_MB}", "-O", "^metadata_csum,^resize_inode"]
    blocks = (size_mb * MIB - ROOT_AT) // 4096
    tools.run([*command, "-d", tree.path, disk, str(blocks)], epoch)
    _set_owners(disk, tree, epoch)


def _set_owners(disk: Path, tree: Tree, epoch: int) -> None:
    command = ["debugfs", "-w", "-f", "-", f"{disk}?offset={ROOT_AT}"]
    complaints = tools.run(command, epoch, "\n".join(_ownership(tree))).stderr.splitlines()[1:]  # the first is its name
    if complaints:
        raise tools.failed(command, complaints[0])


def _ownership(tree: Tree) -> Iterator[str]:
    """What debugfs shall set: who owns each file, its mode, and every time, for mke2fs takes those of the copy."""
    for name in ["", *tree.names()]:
        path, owned = tree.path / name, tree.of(name)
        kind = os.lstat(path).st_mode & 0o170000
        quoted = f'"/{name}"'
        yield f"sif {quoted} mode 0{kind | owned.mode:o}"
        yield f"sif {quoted} uid {owned.uid}"
        yield f"sif {quoted} gid {owned.gid}"
        for field in ("atime", "ctime", "mtime", "crtime"):
            yield f"sif {quoted} {field} @{owned.time if field == 'mtime' else tree.epoch}"
