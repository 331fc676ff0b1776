"""``unzip_input`` and ``zip_output``: archives unpacked before the first task and packed after the last."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

from job_xml.model import ZipOutput
from job_xml.zipping import matcher
from wrapper.files import write_whole
from wrapper.slot import LOCK_FILE, resolve

INITIAL_FILE_LIST = "initial_file_list"
_TEMPORARY_ZIP = "temp.zip"
_OWN_FILES = (LOCK_FILE, INITIAL_FILE_LIST, _TEMPORARY_ZIP)


class BadArchive(Exception):
    """An archive cannot be unpacked or packed; the text says which and why."""


def unzip_inputs(slot: Path, names: Iterable[str]) -> None:
    """Unpack each archive that is there into the slot, then take its link, or itself, out of the slot. BadArchive."""
    for name in names:
        path = slot / resolve(slot, name)
        if (slot / name).exists():
            try:
                _unzip(path, slot)
            except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                raise BadArchive(f"{name} cannot be unpacked: {error}") from None
            (slot / name).unlink()


def _unzip(path: Path, slot: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _restore_kind(member, Path(archive.extract(member, slot)), slot)


def _restore_kind(member: zipfile.ZipInfo, where: Path, slot: Path) -> None:
    """Python's zipfile forgets what was executable and what was a link; the stock wrapper's unzip does not."""
    mode = member.external_attr >> 16
    if stat.S_ISREG(mode):
        where.chmod(stat.S_IMODE(mode) & 0o777 | stat.S_IRUSR)
    elif stat.S_ISLNK(mode):
        target = where.read_text(encoding="utf-8", errors="surrogateescape")
        if (where.parent / target).resolve().is_relative_to(slot.resolve()):
            where.unlink()
            where.symlink_to(target)


def note_initial_files(slot: Path) -> None:
    """Write down what is in the slot now: zip_output leaves it out. OSError."""
    write_whole(slot / INITIAL_FILE_LIST, "".join(f"{name}\n" for name in sorted(os.listdir(slot))))


def zip_outputs(slot: Path, wanted: ZipOutput) -> None:
    """Pack the slot's new files whose names match, unless the archive is there already. BadArchive."""
    target = slot / resolve(slot, wanted.zipfilename)
    if target.exists():
        return
    temporary = slot / _TEMPORARY_ZIP
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _new_files(slot, wanted):
                archive.write(slot / name, name)
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        temporary.unlink(missing_ok=True)
        raise BadArchive(f"{wanted.zipfilename} cannot be packed: {error}") from None


def _new_files(slot: Path, wanted: ZipOutput) -> list[str]:
    matches = matcher(wanted.patterns)
    left_out = {*_OWN_FILES, *_initial_files(slot)}
    names = [name for name in sorted(os.listdir(slot)) if name not in left_out and matches(name)]
    return [name for name in names if (slot / name).is_file()]


def _initial_files(slot: Path) -> list[str]:
    try:
        return (slot / INITIAL_FILE_LIST).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
