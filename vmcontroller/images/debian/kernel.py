"""The kernel and those of its modules that the guest needs, out of Debian's package; the rest stays there.

Which module needs which, and which device needs which module, stands in the modules themselves (.modinfo).
"""

from __future__ import annotations

import lzma
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vmcontroller.errors import BuildFailed
from vmcontroller.images.debian import tools

#: Up to the root disk, the network and the seed, in QEMU, VirtualBox, VMware and Xen.
AT_BOOT = (
    *("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_rng"),
    *("ahci", "ata_piix", "nvme", "mptspi", "mptsas", "vmw_pvscsi", "xen_blkfront", "sd_mod", "sr_mod"),
    *("e1000", "e1000e", "vmxnet3", "pcnet32", "xen_netfront"),
    *("crc32c_generic", "ext4", "isofs"),
)
#: Later, or when a program asks for it.
LATER = (
    *("button", "evdev", "virtio_balloon", "virtio_console", "qemu_fw_cfg", "bochs"),
    *("loop", "fuse", "overlay", "squashfs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1"),
)
#: Where such modules lie; those of sound and radio, and most of graphics, are not even looked at.
_DRIVERS = (
    *("acpi", "ata", "block", "cdrom", "char", "firmware", "input", "message", "nvme", "scsi", "virtio", "xen"),
    *("gpu/drm/drm", "gpu/drm/tiny", "gpu/drm/ttm", "i2c"),
    *("net/ethernet", "net/mii", "net/net", "net/virtio", "net/vmxnet3", "net/xen-netfront"),
)
_PLACES = ("fs", "lib", "block", "crypto", "arch", "net/core", *(f"drivers/{name}" for name in _DRIVERS))
_XZ, _ELF = b"\xfd7zXZ\0", b"\x7fELF"


@dataclass(frozen=True)
class Module:
    """``octets`` are its file; ``depends`` are names, ``aliases`` patterns of devices."""

    octets: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """What is of use in a kernel's package. ``image`` is what a boot loader starts."""

    version: str
    image: bytes
    modules: dict[str, Module]

    def needed(self, names: Sequence[str]) -> list[str]:
        """These modules and those that they depend on, each after what it needs. BuildFailed.

        What is built into the kernel is left out of ``names``, and never stands among what a module depends on.
        """
        order: dict[str, None] = {}
        for name in names:
            if name in self.modules:
                self._need(name, order)
        return list(order)

    def _need(self, name: str, order: dict[str, None]) -> None:
        if name not in self.modules:
            raise BuildFailed(f"the kernel {self.version} lacks the module {name}; it is none that this program knows")
        if name not in order:
            for other in self.modules[name].depends:
                self._need(other, order)
            order[name] = None

    def copy(self, names: Sequence[str], root: Path) -> None:
        """Put these modules below ``root``, with the tables in which modprobe looks them up."""
        place = root / "lib/modules" / self.version
        place.mkdir(parents=True)
        for name in names:
            (place / f"{name}.ko").write_bytes(self.modules[name].octets)
        depends = (f"{name}.ko:{''.join(f' {other}.ko' for other in self._chain(name))}" for name in names)
        aliases = (f"alias {alias} {name}" for name in names for alias in self.modules[name].aliases)
        (place / "modules.dep").write_text("".join(f"{line}\n" for line in depends))
        (place / "modules.alias").write_text("".join(f"{line}\n" for line in aliases))
        for name in ("modules.symbols", "modules.builtin", "modules.order"):
            (place / name).write_text("")

    def _chain(self, name: str) -> list[str]:
        """What has to be loaded before, the last one first."""
        return [other for other in reversed(self.needed([name])) if other != name]


def read(package: Path) -> Kernel:
    """Look into a kernel's package. BuildFailed."""
    images, modules = {}, {}
    for path, octets in _files(package):
        if path.name.startswith("vmlinuz-"):
            images[path.name.removeprefix("vmlinuz-")] = octets
        else:
            modules[path.stem.replace("-", "_")] = _module(octets)
    missing = [name for name in ("virtio_blk", "ahci", "ext4") if name not in modules]
    if missing or len(images) != 1:
        raise BuildFailed(f"{package.name} is not Debian's generic kernel; see that the package sources have it")
    version, image = images.popitem()
    return Kernel(version, image, modules)


def _files(package: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The kernel, and the modules in the places that matter."""
    command = [tools.find("dpkg-deb"), "--fsys-tarfile", str(package)]
    damaged = BuildFailed(f"dpkg-deb cannot read {package}; remove it and build again")
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=nowhere, env=tools.environment()) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                yield from _chosen(archive)
        except tarfile.TarError:
            raise damaged from None
    if process.returncode != 0:
        raise damaged


def _chosen(archive: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    for member in archive:
        path = PurePosixPath(member.name)
        if member.isreg() and _matters(path):
            reader = archive.extractfile(member)
            assert reader is not None, "regular files have contents"
            yield path, reader.read()


def _matters(path: PurePosixPath) -> bool:
    if path.suffix != ".ko":
        return path.name.startswith("vmlinuz-")
    _, _, place = str(path).partition("/kernel/")
    return place.startswith(_PLACES)


def unpacked(image: bytes) -> bytes:
    """The kernel inside, which a hypervisor starts without unpacking it in the guest; b"" where there is none."""
    at = image.find(_XZ)
    if at < 0:
        return b""
    try:
        kernel = lzma.LZMADecompressor().decompress(image[at:])
    except lzma.LZMAError:
        return b""
    return kernel if kernel.startswith(_ELF) else b""


def _module(octets: bytes) -> Module:
    told: dict[str, list[str]] = {}
    for entry in _modinfo(octets).split(b"\0"):
        key, _, value = entry.decode("utf-8", "replace").partition("=")
        told.setdefault(key, []).append(value)
    depends = [name.replace("-", "_") for listed in told.get("depends", []) for name in listed.split(",") if name]
    return Module(octets, tuple(depends), tuple(told.get("alias", [])))


def _modinfo(data: bytes) -> bytes:
    """The section .modinfo of an ELF file for 64 bits, little-endian; elf(5) has the structures."""
    headers = list(_sections(data))
    names_at = headers[struct.unpack_from("<H", data, 62)[0]][1]
    for name, at, size in headers:
        if data.startswith(b".modinfo\0", names_at + name):
            return data[at : at + size]
    return b""


def _sections(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each section's name (as a place in the table of names), offset and size."""
    at, entry_size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    for number in range(count):
        name, _, _, _, offset, size = struct.unpack_from("<IIQQQQ", data, at + number * entry_size)
        yield name, offset, size
