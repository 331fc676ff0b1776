"""Any image in, one disk out, made once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.trial.unittest import TestCase

from tests.vmcontroller.images import disks
from tests.vmcontroller.images.test_shelf import put
from vmcontroller.errors import BadImage, HypervisorFailed, HypervisorMissing, ImageDamaged, ImageDenied, NoSuchImage
from vmcontroller.images import manifest, qemuimg
from vmcontroller.images.store import Base, ImageStore

needs_qemu_img = skipUnless(qemuimg.program(), "needs qemu-img (Debian package qemu-utils)")


def sha256(path: Path) -> str:
    """A file's hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class StoreCase(TestCase):
    """A store and a raw disk beside it."""

    timeout = 60

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, self.home)
        self.disk = disks.raw(self.home / "disk.raw")
        self.store = ImageStore(self.home / "store", reactor)
        self.told: list[tuple[int, int]] = []

    async def base(self, image: Path | str, *formats: str) -> Base:
        """What the store makes of it."""
        return await self.store.base(str(image), formats, lambda done, total: self.told.append((done, total)))

    def left(self) -> list[str]:
        """What is on the shelf, the hashes of files elsewhere apart."""
        found = (path for path in (self.home / "store").rglob("*") if path.is_file() and path.parent.name != "hashes")
        return sorted(str(path.relative_to(self.home / "store")) for path in found)


class UsedWhereItLies(StoreCase):
    """An image in a format that the hypervisor reads is not copied."""

    async def test_raw(self) -> None:
        """The file itself is the base."""
        base = await self.base(self.disk, "qcow2", "raw")
        self.assertEqual(base, Base(self.disk, "raw", sha256(self.disk), disks.MIB))
        self.assertEqual(self.left(), [])
        self.assertEqual(self.told[-1], (disks.MIB, disks.MIB))

    async def test_known(self) -> None:
        """It is read once; after that its inode and time of change are enough."""
        await self.base(self.disk, "raw")
        self.told.clear()
        await self.base(self.disk, "raw")
        self.assertEqual(self.told, [])

    async def test_changed(self) -> None:
        """One that was written since is another image."""
        before = await self.base(self.disk, "raw")
        disks.raw(self.disk, "something else")
        os.utime(self.disk, ns=(1, 1))
        self.assertNotEqual((await self.base(self.disk, "raw")).sha256, before.sha256)

    async def test_built(self) -> None:
        """An image with a manifest can be booted directly; "" is the one named default."""
        known = put(self.store.shelf)
        self.store.shelf.name("default", known)
        base = await self.base("", "raw")
        home = self.home / "store" / known
        self.assertEqual((base.path, base.sha256), (home / "disk.raw", known))
        assert base.boot is not None
        self.assertEqual((base.boot.kernel, base.boot.arguments), (home / "kernel", "quiet"))

    async def test_not_what_the_manifest_says(self) -> None:
        """Neither the disk nor the kernel may be another one."""
        for name in ("kernel", "disk.raw"):
            known = put(self.store.shelf, name)
            path = self.home / "store" / known / name
            path.write_bytes(disks.raw(self.home / "other", "another").read_bytes())
            with self.assertRaises(ImageDamaged):
                await self.base(known, "raw")

    async def test_held(self) -> None:
        """Who makes a VM says so, and the image stays."""
        known = put(self.store.shelf)
        base = await self.base(known, "raw")
        self.store.hold("qemu.a", base)
        self.assertEqual(self.store.shelf.users(known), ("qemu.a",))
        self.store.release("qemu.a")
        self.assertEqual(self.store.shelf.users(known), ())

    async def test_unchanged(self) -> None:
        """A disk that a VM was made upon is the same while its hash is, also if it was touched."""
        base = await self.base(self.disk, "raw")
        self.store.hold("vm", base)
        self.store.demand_unchanged("vm", self.disk)
        os.utime(self.disk, ns=(1, 1))
        self.store.demand_unchanged("vm", self.disk)
        disks.raw(self.disk, "something else")
        with self.assertRaisesRegex(ImageDamaged, "put the old one back"):
            self.store.demand_unchanged("vm", self.disk)
        self.store.demand_unchanged("another", self.disk)
        self.disk.unlink()
        self.store.demand_unchanged("vm", self.disk)


class Refused(StoreCase):
    """What cannot be an image, each with a fault of its own and nothing changed."""

    async def test_bad_input(self) -> None:
        """Missing, a directory, a device, a link that leads out, an archive that leads out."""
        (self.home / "in").mkdir()
        (self.home / "in" / "out").symlink_to(self.disk)
        evil = disks.ova(self.home / "evil.ova", {"machine.ovf": disks.OVF.encode(), "../disk.vmdk": b""})
        bad = {
            NoSuchImage: (self.home / "nothing", "nothing", "", "a\nb"),
            ImageDenied: (self.home, "/dev/zero", self.home / "in" / "out", evil),
            BadImage: (Path(__file__),),
        }
        for kind, images in bad.items():
            for image in images:
                error = await self.assertFailure(Deferred.fromCoroutine(self.base(image, "qcow2")), BadImage)
                self.assertIs(type(error), kind, str(image))
        self.assertEqual(self.left(), [])

    @needs_qemu_img
    async def test_truncated(self) -> None:
        """A disk that lacks its end."""
        whole = self.home / "whole.raw"
        whole.write_bytes(self.disk.read_bytes() + os.urandom(disks.MIB))
        for format in ("qcow2", "vdi", "vmdk"):
            path = disks.convert(whole, format)
            os.truncate(path, path.stat().st_size - disks.MIB // 2)
            with self.assertRaises(ImageDamaged):
                await self.base(path, format)

    async def test_without_qemu_img(self) -> None:
        """It is said what to install."""
        self.patch(qemuimg, "program", lambda: None)
        with self.assertRaisesRegex(HypervisorMissing, "qemu-utils"):
            await self.base(self.disk, "qcow2")
        self.assertEqual((await self.base(self.disk, "raw")).format, "raw")


@needs_qemu_img
class Converted(StoreCase):
    """Everything else is converted once."""

    async def test_formats(self) -> None:
        """Into the first format that is wanted, and kept under the hash of what was given."""
        for format in ("qcow2", "vdi", "vmdk"):
            given = disks.convert(self.disk, format)
            wanted = "vdi" if format == "qcow2" else "qcow2"
            base = await self.base(given, wanted, "raw")
            self.assertEqual((base.sha256, base.format, base.virtual_bytes), (sha256(given), wanted, disks.MIB))
            self.assertEqual(base.path, self.home / "store" / sha256(given) / f"disk.{wanted}")
            self.assertEqual(disks.text_of(base.path, wanted), b"on the disk")
            subprocess.run(
                ["sha256sum", "--check", "--quiet", f"disk.{wanted}.sha256"], cwd=base.path.parent, check=True
            )

    async def test_unchanged_conversion(self) -> None:
        """What an image was converted to is held against its own hash."""
        base = await self.base(disks.convert(self.disk, "vdi"), "qcow2")
        self.store.hold("vm", base)
        for _ in range(2):
            self.store.demand_unchanged("vm", base.path)
        os.truncate(base.path, base.path.stat().st_size - 512)
        with self.assertRaises(ImageDamaged):
            self.store.demand_unchanged("vm", base.path)

    async def test_ova(self) -> None:
        """The disk in it is used as it is if that is wanted, else converted."""
        disk = disks.convert(self.disk, "vmdk", "-o", "subformat=streamOptimized").read_bytes()
        given = disks.ova(self.home / "m.ova", {"m.ovf": disks.OVF.encode(), "disk.vmdk": disk})
        base = await self.base(given, "vdi", "vmdk")
        self.assertEqual((base.format, base.sha256, base.path.read_bytes()), ("vmdk", sha256(given), disk))
        base = await self.base(given, "qcow2")
        self.assertEqual(disks.text_of(base.path, "qcow2"), b"on the disk")
        self.assertEqual(base.virtual_bytes, disks.MIB)

    async def test_evil_disk_in_an_ova(self) -> None:
        """What is in the archive is looked at like any other image."""
        disk = disks.qcow2(self.home / "evil", backing=512).read_bytes()
        given = disks.ova(self.home / "m.ova", {"m.ovf": disks.OVF.encode(), "disk.vmdk": disk})
        with self.assertRaises(ImageDenied):
            await self.base(given, "qcow2")
        self.assertEqual(self.left(), [])

    async def test_once(self) -> None:
        """Those who ask at the same time share the work, and all hear how far it is; later it is there."""
        runs = []
        convert = qemuimg.convert
        self.patch(qemuimg, "convert", lambda *arguments: (runs.append(1), convert(*arguments)))
        heard: list[list[tuple[int, int]]] = [[], [], []]
        asked = [
            Deferred.fromCoroutine(self.store.base(str(self.disk), ("qcow2",), lambda *told, to=each: to.append(told)))
            for each in heard
        ]
        bases = [base for _, base in await DeferredList(asked, fireOnOneErrback=True)]
        self.assertEqual(len(set(bases)), 1)
        self.assertEqual(heard[0], heard[2])
        self.assertEqual(heard[0][-1][0], heard[0][-1][1])
        await self.base(self.disk, "qcow2")
        self.assertEqual(runs, [1])

    async def test_two_stores(self) -> None:
        """Two plugins of one daemon may do the same work; both have a whole disk then."""
        other = ImageStore(self.home / "store", reactor)
        asked = [Deferred.fromCoroutine(store.base(str(self.disk), ("qcow2",))) for store in (self.store, other)]
        bases = [base for _, base in await DeferredList(asked, fireOnOneErrback=True)]
        self.assertEqual(bases[0], bases[1])
        self.assertEqual(len(self.left()), 2)

    async def test_crash_in_the_middle(self) -> None:
        """What a dead process left counts for nothing, and is removed."""
        draft = self.home / "store" / ".convert-1-dead"
        draft.mkdir(parents=True)
        (draft / "converted.qcow2").write_text("half of it")
        base = await self.base(self.disk, "qcow2")
        self.assertEqual(disks.text_of(base.path, "qcow2"), b"on the disk")
        self.assertFalse(draft.exists())

    async def test_failed(self) -> None:
        """Nothing is left of a conversion that failed, and the next one may do better."""
        convert = qemuimg.convert

        def fail(*arguments: object) -> None:
            convert(*arguments)
            raise HypervisorFailed("the power went")

        self.patch(qemuimg, "convert", fail)
        with self.assertRaises(HypervisorFailed):
            await self.base(self.disk, "qcow2")
        self.assertEqual(self.left(), [])
        self.patch(qemuimg, "convert", convert)
        self.assertEqual((await self.base(self.disk, "qcow2")).format, "qcow2")

    async def test_cancelled(self) -> None:
        """One who leaves does not keep the others from it; when all have left, the work ends and leaves nothing."""
        asked = [Deferred.fromCoroutine(self.base(self.disk, "qcow2")) for _ in range(2)]
        asked[0].cancel()
        await self.assertFailure(asked[0], CancelledError)
        self.assertEqual((await asked[1]).format, "qcow2")
        asked = [Deferred.fromCoroutine(self.base(self.disk, "vdi")) for _ in range(2)]
        for each in asked:
            each.cancel()
            await self.assertFailure(each, CancelledError)
        self.assertEqual((await self.base(self.disk, "vdi")).format, "vdi")

    async def test_a_built_image_converted(self) -> None:
        """It keeps its kernel and its command line."""
        known = put(self.store.shelf)
        base = await self.base(known, "vdi")
        self.assertEqual(base.path, self.home / "store" / known / "disk.vdi")
        self.assertIsNotNone(base.boot)
        self.assertIsNotNone(manifest.read(base.path.parent))
