"""The image store of one daemon: any image in, one disk out that all VMs share and none writes on.

An image is known by the SHA-256 of its file, and looked at once: a file in a format that is wanted is used
where it lies, anything else is converted once and kept. The work is done in threads of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from vmcontroller import disk
from vmcontroller.errors import ImageDamaged
from vmcontroller.images import manifest, ova, qemuimg
from vmcontroller.images.hashing import Hashes, sha256_of
from vmcontroller.images.inspect import ImageFile, inspect
from vmcontroller.images.manifest import Manifest
from vmcontroller.images.shelf import Shelf
from vmcontroller.images.work import Progress, Work, untold
from vmcontroller.threads import in_a_thread

_CONVERSION = "convert"


@dataclass(frozen=True)
class DirectBoot:
    """What a hypervisor needs to boot the image without its boot loader, which is faster."""

    kernel: Path
    initrd: Path
    arguments: str


@dataclass(frozen=True)
class Base:
    """A disk for VMs to be made upon; nobody may write on it.

    ``sha256`` is that of the image as it was given, whatever it was converted to. ``virtual_bytes`` is the
    disk's size in octets. ``boot`` is None where the image has to boot by itself.
    """

    path: Path
    format: str
    sha256: str
    virtual_bytes: int
    boot: DirectBoot | None = None


class ImageStore:
    """The store in one directory, which is made when it is needed."""

    def __init__(self, directory: Path, reactor: IReactorFromThreads) -> None:
        self.shelf = Shelf(directory)
        self._reactor = reactor
        self._maker = _Maker(self.shelf)
        self._under_way: dict[tuple[Path, tuple[str, ...]], _Shared] = {}

    async def base(self, image: str, formats: Sequence[str], progress: Progress = untold) -> Base:
        """The disk to make VMs upon, in one of ``formats`` (the first is what others are converted to).

        ``image`` is a path on this host, a name in the store, or "" for the image named "default". ``progress``
        hears of octets. Calls for one image share the work; it is given up when all of them are cancelled.

        NoSuchImage, ImageDenied, ImageDamaged and BadImage; DiskFull; HypervisorMissing where qemu-img is needed.
        """
        path = self.shelf.find(image)
        key = (path, tuple(formats))
        if key not in self._under_way:
            self._under_way[key] = _Shared(self._reactor, lambda work: self._maker.base(path, formats, work))
        shared = self._under_way[key]
        try:
            return await shared.join(progress)
        finally:
            if shared.is_over:
                self._under_way.pop(key, None)

    def hold(self, user: str, base: Base) -> None:
        """Say before a VM is made upon a base, so that nobody removes it; ``user`` names the VM. OSError."""
        self.shelf.hold(user, base.sha256)

    def release(self, user: str) -> None:
        """Say when the VM is gone; once more does no harm. OSError."""
        self.shelf.release(user)

    def demand_unchanged(self, user: str, path: Path) -> None:
        """ImageDamaged unless the disk that a VM was made upon is what it was then; one that is gone is not looked at.

        Blocks for long only if it was touched since: then it is read again. OSError.
        """
        self._maker.demand_unchanged(user, path)


class _Shared:
    """Work in a thread that several wait for."""

    def __init__(self, reactor: IReactorFromThreads, make: Callable[[Work], Base]) -> None:
        self._listeners: dict[Deferred[Base], Progress] = {}
        self._work = Work(lambda done, total: reactor.callFromThread(self._tell, done, total))
        self.is_over = False
        in_a_thread(reactor, lambda: make(self._work), self._work.abort).addBoth(self._finish)

    def join(self, progress: Progress) -> Deferred[Base]:
        """Fires with the base. Who cancels leaves; the last one ends the work."""
        waiting: Deferred[Base] = Deferred(self._leave)
        self._listeners[waiting] = progress
        return waiting

    def _leave(self, waiting: Deferred[Base]) -> None:
        del self._listeners[waiting]
        if not self._listeners:
            self.is_over = True
            self._work.abort()

    def _tell(self, done: int, total: int) -> None:
        for progress in list(self._listeners.values()):
            progress(done, total)

    def _finish(self, result: Base | Failure) -> None:
        self.is_over = True
        waiting, self._listeners = list(self._listeners), {}
        for each in waiting:
            if isinstance(result, Failure):
                each.errback(result)
            else:
                each.callback(result)


class _Maker:
    """Does the work. Blocking; knows no reactor."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._hashes = Hashes(shelf.directory / "hashes")

    def base(self, path: Path, formats: Sequence[str], work: Work) -> Base:
        """See ImageStore.base; Aborted."""
        found = inspect(path)
        try:
            sha256 = self._verified(found, found.format not in formats, work)
            told = self._manifest(found.path.parent, sha256, work)
            if found.format in formats:
                return _base(found, sha256, told)
            kept = self._shelf.disk(sha256, formats)
            return _base(inspect(kept[0]) if kept else self._convert(found, sha256, formats, work), sha256, told)
        except OSError as error:
            raise disk.explain(error, self._shelf.directory) from None

    def _verified(self, found: ImageFile, to_be_converted: bool, work: Work) -> str:
        """The hash of a file that was looked at, now or before."""
        known = self._hashes.known(found.path)
        size = found.path.stat().st_size
        work.plan(0 if known else size, (found.virtual_bytes or size) if to_be_converted else 0)
        if not known:
            qemuimg.check(found)
            known = sha256_of(found.path, work)
            self._hashes.note(found.path, known)
        return known

    def _manifest(self, directory: Path, sha256: str, work: Work) -> Manifest | None:
        """The manifest of the image that lies there, if it is this one."""
        told = manifest.read(directory)
        if told is None:
            return None
        if told.sha256 != sha256:
            raise ImageDamaged(f"the image in {directory} is not the one that its manifest tells of; get it anew")
        for name, digits in told.files.items():
            path = directory / name
            if (self._hashes.known(path) or sha256_of(path, work)) != digits:
                raise ImageDamaged(f"{path} is not what the image's manifest tells of; get the image anew")
            self._hashes.note(path, digits)
        return told

    def demand_unchanged(self, user: str, path: Path) -> None:
        """See ImageStore."""
        promised = self._shelf.own_hash(path) or self._shelf.held(user)
        if not promised or not path.exists() or self._hashes.known(path) == promised:
            return
        if sha256_of(path, Work(untold)) != promised:
            raise ImageDamaged(f"the image {path} is not what it was when the VM was made: put the old one back")
        self._hashes.note(path, promised)

    def _convert(self, found: ImageFile, sha256: str, formats: Sequence[str], work: Work) -> ImageFile:
        self._shelf.sweep(_CONVERSION)
        with self._shelf.draft(_CONVERSION) as draft:
            if found.format == "ova":
                found = self._unpack(found, draft, formats, work)
            if found.format not in formats:
                target = draft / f"converted.{formats[0]}"
                qemuimg.convert(found, target, formats[0], work)
                found = ImageFile(target, formats[0], found.virtual_bytes)
            work.plan(found.path.stat().st_size)
            own_sha256 = sha256_of(found.path, work)
            return inspect(self._shelf.add_disk(sha256, found.path, found.format, own_sha256))

    def _unpack(self, found: ImageFile, draft: Path, formats: Sequence[str], work: Work) -> ImageFile:
        target = draft / "unpacked.disk"
        ova.unpack(found.path, target, work)
        inner = inspect(target)
        qemuimg.check(inner)
        work.plan(inner.virtual_bytes if inner.format not in formats else 0)
        return inner


def _base(found: ImageFile, sha256: str, told: Manifest | None) -> Base:
    boot = told and told.boot
    if not told or not boot:
        return Base(found.path, found.format, sha256, found.virtual_bytes)
    home = found.path.parent
    direct = DirectBoot(home / boot.kernel, home / boot.initrd, boot.arguments)
    return Base(found.path, found.format, sha256, found.virtual_bytes, direct)
