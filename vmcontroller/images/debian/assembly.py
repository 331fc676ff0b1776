"""The order of things: packages, agent, kernel, RAM disk, disk, and the manifest that tells of all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import vmcontroller
from vmcontroller.errors import BadRequest
from vmcontroller.images import manifest, qemuimg
from vmcontroller.images.debian import disk, initrd, kernel, packages, payload, sources, tools, tree
from vmcontroller.images.debian.order import SUITE, Order, default_cache
from vmcontroller.images.hashing import sha256_of
from vmcontroller.images.inspect import ImageFile
from vmcontroller.images.manifest import Boot, Manifest
from vmcontroller.images.work import Work

#: quiet: a line on a slow screen costs time. panic: start anew at once. The seed's random octets are not needed to be
#: waited for. A guest runs one task, and nobody in it is to be kept from reading its own memory.
ARGUMENTS = (
    "quiet panic=-1 console=ttyS0 console=tty0 mitigations=off random.trust_cpu=on rcupdate.rcu_expedited=1"
    " i8042.noaux cryptomgr.notests"
)
#: The kernel lies on the disk as Debian packs it, and beside the disk unpacked: under emulation that saves 2 s.
_KERNEL, _PACKED_KERNEL, _INITRD = "vmlinux", "vmlinuz", "initrd.img"
_SYSLINUX = f"DEFAULT guest\nPROMPT 0\nLABEL guest\n LINUX {_PACKED_KERNEL}\n INITRD {_INITRD}\n APPEND {ARGUMENTS}\n"
_SMALLEST_MB, _LARGEST_MB = 1024, 2 * 1024 * 1024

#: Hears what is being done.
Tell = Callable[[str], None]


def build(order: Order, into: Path, tell: Tell) -> Manifest:
    """Build an image into an empty directory: disk, kernel, initrd and manifest. BuildFailed, BadRequest, DiskFull."""
    if not _SMALLEST_MB <= order.disk_mb <= _LARGEST_MB:
        raise BadRequest(f"the disk's size must lie between {_SMALLEST_MB} and {_LARGEST_MB} MiB, not {order.disk_mb}")
    tools.require()
    order = replace(order, cache=order.cache or default_cache(), mirrors=order.mirrors or sources.system())
    work = into / "work"
    work.mkdir()
    try:
        return _Assembly(order, into, work, tell).build()
    finally:
        _remove(work)


def _remove(work: Path) -> None:
    """A tree of a system's files: some directories in it forbid to be changed."""
    for folder, _, _ in os.walk(work):
        os.chmod(folder, 0o700)
    shutil.rmtree(work)


class _Assembly:
    def __init__(self, order: Order, into: Path, work: Path, tell: Tell) -> None:
        self._order = order
        self._into = into
        self._work = work
        self._tell = tell
        assert order.cache is not None
        self._cache = order.cache

    def build(self) -> Manifest:
        root = self._install()
        package = packages.kernel(root, self._cache)
        installed = packages.installed(root)
        epoch = packages.youngest(installed, package, self._cache)
        self._tell("unpacking the kernel")
        linux = kernel.read(package)
        self._tell("unpacking the system")
        guest = tree.unpack(root, self._made("tree"), epoch)
        linux.copy(linux.needed((*kernel.AT_BOOT, *kernel.LATER)), guest.path / "usr")
        self._write_boot_files(linux, guest)
        self._write_disk(guest, epoch)
        told = self._manifest(installed, linux.version, epoch)
        (self._into / manifest.FILE).write_text(told.text())
        return told

    def _made(self, name: str) -> Path:
        path = self._work / name
        path.mkdir()
        return path

    def _install(self) -> Path:
        agent, root = self._work / "agent.tar", self._work / "root.tar"
        payload.write(agent)
        self._tell("asking the package sources")
        packages.install(self._order, self._order.mirrors, agent, root, self._tell)
        return root

    def _write_boot_files(self, linux: kernel.Kernel, guest: tree.Tree) -> None:
        self._tell("making the initial RAM disk")
        busybox = (guest.path / "usr/bin/busybox").read_bytes()
        ram_disk = initrd.build(linux, busybox, self._made("initrd"))
        boot = self._made("boot")
        (boot / _PACKED_KERNEL).write_bytes(linux.image)
        (boot / _INITRD).write_bytes(ram_disk)
        (boot / "syslinux.cfg").write_text(_SYSLINUX)
        (self._into / _KERNEL).write_bytes(kernel.unpacked(linux.image) or linux.image)
        (self._into / _INITRD).write_bytes(ram_disk)

    def _write_disk(self, guest: tree.Tree, epoch: int) -> None:
        self._tell("making the disk")
        raw = self._work / "disk.raw"
        disk.write(raw, self._order.disk_mb, self._work / "boot", guest, epoch)
        self._tell("compressing the disk")
        found = ImageFile(raw, "raw", self._order.disk_mb * disk.MIB)
        options = ("-c", "-o", "compression_type=zstd")
        qemuimg.convert(found, self._into / "disk.qcow2", "qcow2", Work(), options)

    def _manifest(self, installed: list[dict[str, str]], version: str, epoch: int) -> Manifest:
        self._tell("computing hashes")
        names = ("disk.qcow2", _KERNEL, _INITRD)
        files = {name: sha256_of(self._into / name, Work()) for name in names}
        made_of = {
            "suite": SUITE,
            "kernel": version,
            "epoch": epoch,
            "agent": sha256_of(self._work / "agent.tar", Work()),
            "packages": {told["Package"]: told["Version"] for told in installed},
        }
        boot = Boot(_KERNEL, _INITRD, ARGUMENTS)
        size = self._order.disk_mb * disk.MIB
        agent = vmcontroller.__version__
        return Manifest(files["disk.qcow2"], "qcow2", size, self._order.name, agent, files, boot, made_of)
