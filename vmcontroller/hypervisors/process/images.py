"""Base images of process machines: a directory to be copied, or a tar archive to be unpacked."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from vmcontroller.errors import BadImage
from vmcontroller.hypervisors.common import files

_PIECE = 1 << 20


def fill(image: str, target: Path) -> None:
    """Fill the existing directory ``target`` from the image; "" leaves it empty.

    BadImage when the image is at fault, OSError when the target is.
    """
    if not image:
        return
    try:
        _fill(Path(image), target)
    except OSError as error:
        if _of_target(error, image):
            raise
        raise BadImage(f"the image {image} cannot be read: {error}; mend it, or choose another one") from error
    target.chmod(0o700)


def _of_target(error: OSError, image: str) -> bool:
    if error.filename is None:
        return error.errno is not None  # Decompressors raise OSError without a number.
    return not Path(os.fsdecode(error.filename)).is_relative_to(image)


def _fill(source: Path, target: Path) -> None:
    if source.is_dir():
        if target.resolve().is_relative_to(source.resolve()):
            raise BadImage(f"the image {source} holds the directory that the machine would lie in; choose another one")
        files.copy(source, target)
    elif source.is_file() and tarfile.is_tarfile(source):
        _unpack(source, target)
    elif source.exists():
        raise BadImage(f"{source} is no image for this hypervisor; give a directory or a .tar or .tar.gz archive")
    else:
        raise BadImage(f"the image {source} does not exist; give a directory or a .tar or .tar.gz archive")


def _unpack(source: Path, target: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise BadImage(f"{source}: this Python is too old to unpack archives safely; unpack it, and give the directory")
    try:
        with tarfile.open(source) as archive:
            archive.extractall(target, filter="data")
            while archive.fileobj and archive.fileobj.read(_PIECE):
                pass  # The checksum stands at the very end.
    except OSError:
        raise
    except Exception as error:  # A damaged archive makes the decompressors raise all sorts of things.
        raise BadImage(f"the image {source} cannot be unpacked: {error}; make it anew with tar") from error
