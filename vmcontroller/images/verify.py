"""Is an image still what it was: every file of it is read again, whatever was known of it."""

from __future__ import annotations

from pathlib import Path

from vmcontroller.errors import ImageDamaged
from vmcontroller.images import manifest, qemuimg
from vmcontroller.images.hashing import sha256_of
from vmcontroller.images.inspect import inspect
from vmcontroller.images.shelf import Shelf
from vmcontroller.images.work import Work


def verify(shelf: Shelf, which: str, work: Work) -> str:
    """The hash of an image by its name, hash or path. ImageDamaged, NoSuchImage, BadImage."""
    path = shelf.find(which)
    found = inspect(path)
    qemuimg.check(found)
    promised = _promised(path.parent) if path.parent.parent == shelf.directory else _of_manifest(path)
    work.plan(*(each.stat().st_size for each in {path, *promised} if each.exists()))
    sha256 = _hash(path, promised.pop(path, ""), work)
    for each, digits in promised.items():
        _hash(each, digits, work)
    return path.parent.name if path.parent.parent == shelf.directory else sha256


def _promised(place: Path) -> dict[Path, str]:
    """The files of an image in the store, and the hash that each should have."""
    told = manifest.read(place)
    built = {place / name: digits for name, digits in told.files.items()} if told else {}
    converted = {
        note.with_suffix(""): note.read_text(encoding="ascii").split()[0] for note in sorted(place.glob("*.sha256"))
    }
    return built | converted


def _of_manifest(path: Path) -> dict[Path, str]:
    """Likewise of an image elsewhere, where a manifest lies beside it."""
    told = manifest.read(path.parent)
    if told is None or told.disk != path.name:
        return {}
    return {path.parent / name: digits for name, digits in told.files.items()}


def _hash(path: Path, expected: str, work: Work) -> str:
    if not path.exists():
        raise ImageDamaged(f"{path} is gone; remove the image and make it again")
    found = sha256_of(path, work)
    if expected and found != expected:
        raise ImageDamaged(f"{path} is not what it was; remove the image and make it again")
    return found
