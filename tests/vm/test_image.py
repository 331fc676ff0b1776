"""The built image: small, the same each time, and it boots on what different hypervisors emulate.

QEMU stands here for all of them, by hand and without the plugin: what it shows to the guest is what they show.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm import guest_image
from vmcontroller.errors import BuildFailed
from vmcontroller.images import debian, manifest, seed
from vmcontroller.images.debian import tools
from vmcontroller.images.manifest import Manifest
from vmcontroller.images.shelf import Shelf
from vmcontroller.wire.door import DaemonSide

QEMU = shutil.which("qemu-system-x86_64")
LARGEST = 150 * 1000 * 1000
#: Seconds for a boot on a machine that has other work to do, and for a shutdown.
BOOT, OFF = 120, 60
SECRET = "s" * 64
SEED = {"id": "vm-1", "name": "VM 1", "group": "default", "daemon": "d1", "secret": SECRET, "setClock": True}
MACHINE = ("-accel", "tcg", "-cpu", "Nehalem", "-m", "512", "-smp", "1", "-display", "none", "-serial", "null")
#: What a guest finds: chipset, the disk's device, the seed's drive and the network card.
MACHINES = {
    "virtio": ("q35", ("virtio-blk-pci,drive=disk",), "virtio-blk-pci,drive=seed", "virtio-net-pci"),
    "VirtualBox, PIIX": ("pc", ("ide-hd,drive=disk,bus=ide.0",), "ide-cd,drive=seed,bus=ide.1", "e1000"),
    "VirtualBox, AHCI": ("q35", ("ide-hd,drive=disk,bus=ide.0",), "ide-cd,drive=seed,bus=ide.1", "e1000"),
    "VMware": ("pc", ("pvscsi", "scsi-hd,drive=disk"), "ide-cd,drive=seed", "vmxnet3"),
    "NVMe and PCnet": ("q35", ("nvme,drive=disk,serial=disk",), "ide-cd,drive=seed,bus=ide.1", "pcnet"),
}


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    try:
        tools.require()
        return guest_image.shelf()
    except BuildFailed as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Guest:
    """A QEMU that runs."""

    process: subprocess.Popen[bytes]
    monitor: Path
    port: int

    def await_door(self) -> None:
        """The agent proves that it read the seed."""
        end = time.monotonic() + BOOT
        while time.monotonic() < end:
            assert self.process.poll() is None, "QEMU has ended"
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as door:
                side = DaemonSide(SECRET)
                while octets := door.recv(1000):
                    door.sendall(side.feed(octets))
                    if side.proved:
                        return
            time.sleep(0.1)
        pytest.fail(f"no agent answered in {BOOT} s")

    def press(self) -> int:
        """The power button; QEMU's exit code when the guest is off."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.monitor))
            monitor.sendall(b"system_powerdown\n")
            return self.process.wait(OFF)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def guest(home: Path, disk: Path, kind: str, more: Sequence[str] = ()) -> Iterator[Guest]:
    """A machine upon the disk, which is not written on."""
    chipset, disks, drive, card = MACHINES[kind]
    seed.write(home / "seed.iso", SEED)
    port, monitor = free_port(), home / "monitor"
    command = [str(QEMU), *MACHINE, "-nodefaults", "-no-reboot", "-M", chipset, *more]
    command += ["-monitor", f"unix:{monitor},server=on,wait=off"]
    command += ["-drive", f"if=none,id=disk,format=qcow2,snapshot=on,file={disk}"]
    command += ["-drive", f"if=none,id=seed,format=raw,readonly=on,file={home / 'seed.iso'}"]
    command += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:61614"]
    for device in (*disks, drive, f"{card},netdev=net,romfile="):
        command += ["-device", device]
    process = subprocess.Popen(command)
    try:
        yield Guest(process, monitor, port)
    finally:
        process.kill()
        process.wait()


needs_qemu = pytest.mark.skipif(not QEMU, reason="needs qemu-system-x86_64 (Debian package qemu-system-x86)")


@needs_qemu
@pytest.mark.parametrize("kind", MACHINES)
def test_boots_by_itself(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    """Through the BIOS, on the devices of each hypervisor; at the power button it leaves in order."""
    with guest(tmp_path, shelf.find(""), kind) as running:
        running.await_door()
        assert running.press() == 0


@needs_qemu
@pytest.mark.parametrize("more", ["", " vmc_address=10.0.2.15/24,10.0.2.2"])
def test_boots_directly(shelf: Shelf, tmp_path: Path, more: str) -> None:
    """With the kernel that lies beside it, with an address by DHCP or one that is told."""
    disk = shelf.find("")
    told = manifest.read(disk.parent)
    assert told is not None
    assert told.boot is not None
    boot = ("-kernel", str(disk.parent / told.boot.kernel), "-initrd", str(disk.parent / told.boot.initrd))
    with guest(tmp_path, disk, "virtio", (*boot, "-append", told.boot.arguments + more)) as running:
        running.await_door()
        assert running.press() == 0


def test_size(shelf: Shelf) -> None:
    """It can be sent to volunteers."""
    assert sum(path.stat().st_size for path in shelf.find("").parent.iterdir()) < LARGEST


def test_same_octets(shelf: Shelf, tmp_path: Path) -> None:
    """Built again, at another time and in another place, from the same packages, it is the same image."""
    before = manifest.read(shelf.find("").parent)
    again: Manifest = debian.build(debian.Order(), tmp_path, lambda step: None)
    assert before is not None
    if before.made_of != again.made_of:
        pytest.skip("packages or the agent have changed since the image was built")
    assert again.files == before.files
