"""Takes the one disk out of an OVA: a tar archive with a description (OVF) and the files that it speaks of.

Nothing is written but the disk, and that where the caller says: no name in the archive is a path for us.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from vmcontroller.errors import BadImage, ImageDamaged, ImageDenied
from vmcontroller.images.work import Work

#: A description, or a manifest, is some pages of text.
_LARGEST_TEXT = 1024 * 1024
_MOST_MEMBERS = 100
_PIECE = 1024 * 1024
_LEADS_OUT = re.compile(r"[/\\\0]|^\.\.?$")
_DIGEST = re.compile(r"^(SHA1|SHA256|SHA512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*$", re.MULTILINE)


def unpack(ova: Path, target: Path, work: Work) -> None:
    """Write the disk to the new file ``target``.

    BadImage, ImageDenied, ImageDamaged where the archive is at fault; OSError where ``target`` is; Aborted.
    """
    with _opened(ova) as archive:
        members = {member.name: member for member in _members(ova, archive)}
        disk = _disk(ova, archive, members)
        digest = _digest(ova, archive, members, disk.name)
        _extract(ova, archive, disk, target, work, digest)


@contextmanager
def _opened(ova: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(ova, "r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise ImageDamaged(f"the image {ova} is no whole archive: {error}; get it anew") from None


def _members(ova: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(archive):
        if number >= _MOST_MEMBERS:
            raise BadImage(f"the image {ova} holds more than {_MOST_MEMBERS} files; an OVA has a handful")
        if not member.isreg() or _LEADS_OUT.search(member.name):
            raise ImageDenied(f"the image {ova} holds {member.name!r}, which leads out of its folder or is no file")
        yield member


def _disk(ova: Path, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """The member that is the machine's only disk."""
    description = next((member for name, member in members.items() if name.lower().endswith(".ovf")), None)
    if description is None:
        raise BadImage(f"the image {ova} is an archive without a description (.ovf); it is no OVA")
    files = _described_disks(ova, _text(ova, archive, description))
    if len(files) != 1:
        raise BadImage(f"the image {ova} has {len(files)} disks; a VM is made from an OVA with one")
    if _LEADS_OUT.search(files[0]):
        raise ImageDenied(f"the image {ova} describes a disk {files[0]!r}, which leads out of its folder; get it anew")
    disk = members.get(files[0])
    if disk is None:
        raise BadImage(f"the image {ova} lacks its disk {files[0]!r}; get it anew")
    return disk


def _text(ova: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _LARGEST_TEXT:
        raise BadImage(
            f"the image {ova} has a file {member.name!r} of {member.size} octets that should be a short text"
        )
    return _reader(archive, member).read()


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    reader = archive.extractfile(member)
    assert reader is not None, "regular files have contents"
    return reader


def _described_disks(ova: Path, text: bytes) -> list[str]:
    """The names of the files of all disks, as DSP0243 (the OVF specification) describes them."""
    if b"<!" in text.replace(b"<!--", b""):
        raise ImageDenied(f"the image {ova} has a description with declarations of its own; it is no OVF")
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BadImage(f"the image {ova} has a description that cannot be read: {error}; get it anew") from None
    files = {_value(each, "id"): each for each in _elements(tree, "File")}
    used = [files[wanted] for disk in _elements(tree, "Disk") if (wanted := _value(disk, "fileRef")) in files]
    for each in used:
        if _value(each, "compression") not in ("", "identity") or _value(each, "chunkSize"):
            raise BadImage(f"the image {ova} has a compressed or split disk; export it again without that")
    return [_value(each, "href") for each in used]


def _elements(tree: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """By their local names: the namespace tells OVF 1 from OVF 2, and nothing that matters here."""
    return [each for each in tree.iter() if each.tag.rpartition("}")[2] == name]


def _value(element: ElementTree.Element, name: str) -> str:
    return next((text for key, text in element.items() if key.rpartition("}")[2] == name), "")


def _digest(ova: Path, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> tuple[str, str]:
    """Algorithm and hex digits that the archive's manifest (.mf) has for a file; "sha256" and "" without one."""
    for member in members.values():
        if member.name.lower().endswith(".mf"):
            for algorithm, file, digits in _DIGEST.findall(_text(ova, archive, member).decode("utf-8", "replace")):
                if file == name:
                    return algorithm.lower(), digits.lower()
    return "sha256", ""


def _extract(
    ova: Path,
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    target: Path,
    work: Work,
    expected: tuple[str, str],
) -> None:
    algorithm, digits = expected
    digest, done = hashlib.new(algorithm), 0
    work.begin(member.size)
    with _reader(archive, member) as reader, target.open("xb") as writer:
        while piece := reader.read(_PIECE):
            writer.write(piece)
            digest.update(piece)
            done += len(piece)
            work.moved(done)
    if done != member.size or (digits and digest.hexdigest() != digits):
        raise ImageDamaged(f"the image {ova} does not hold the disk that its own manifest tells of; get it anew")
