"""Runs qemu-img: is an image whole, and the same disk in another format. Blocking; callers are in a thread.

The format is always said, never guessed by qemu-img: what a guest writes on a raw disk must not become a header.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from vmcontroller.errors import BadImage, DiskFull, HypervisorFailed, HypervisorMissing, ImageDamaged, ImageDenied
from vmcontroller.images.inspect import ImageFile
from vmcontroller.images.work import Work

_SHARE = re.compile(r"\((\d+(?:\.\d+)?)/100%\)")
_PATIENCE = 600.0
#: What it can look into; a raw disk has nothing to look at, an OVA's disk is looked at when it is unpacked.
_READABLE = ("qcow2", "vdi", "vmdk")
#: Exit codes of ``qemu-img check`` that mean harm: it failed, or found corruption (qemu-img(1)). Leaks do none.
_WRONG = (1, 2)


def program() -> str | None:
    """Where qemu-img is, or None."""
    return shutil.which("qemu-img")


def check(image: ImageFile) -> None:
    """Nothing, where the image is consistent, or qemu-img is absent. ImageDamaged, ImageDenied, BadImage."""
    if program() is None or image.format not in _READABLE:
        return
    path, format = image.path, image.format
    _check_references(path, format)
    done = _run("check", "--force-share", "-f", format, str(path))
    if done.returncode in _WRONG:
        words = _words(done.stderr or done.stdout)
        raise ImageDamaged(f"the image {path} is damaged or not whole: {words}; get it anew")


def _check_references(path: Path, format: str) -> None:
    done = _run("info", "--force-share", "--output=json", "-f", format, str(path))
    if done.returncode != 0:
        raise BadImage(f"the image {path} cannot be read as {format}: {_words(done.stderr)}; get it anew")
    told = json.loads(done.stdout)
    specific = told.get("format-specific", {}).get("data", {})
    if "backing-filename" in told or "data-file" in specific:
        raise ImageDenied(f"the image {path} builds on another file; make it whole with qemu-img convert -O qcow2")


def convert(source: ImageFile, target: Path, format: str, work: Work, options: Sequence[str] = ()) -> None:
    """Write the disk to ``target`` in another format.

    HypervisorMissing without qemu-img; DiskFull, HypervisorFailed; Aborted.
    """
    work.begin(source.virtual_bytes)
    formats = ("-f", source.format, "-O", format)
    with subprocess.Popen(
        (_required(source), "convert", "-p", *formats, *options, str(source.path), str(target)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            words = _listen(process, lambda share: work.moved(int(share * source.virtual_bytes)))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _why(source.path, target, words)


def _required(source: ImageFile) -> str:
    found = program()
    if found is None:
        raise HypervisorMissing(
            f"the image {source.path} is {source.format} and has to be converted: install qemu-img (Debian: qemu-utils)"
        )
    return found


def _listen(process: subprocess.Popen[bytes], tell: Callable[[float], None]) -> str:
    """Tell how much is done, from 0 to 1; what else the program said is returned."""
    assert process.stdout is not None
    heard = ""
    while piece := process.stdout.read1(4096):  # type: ignore[attr-defined]
        heard += piece.decode("utf-8", "replace")
        if shares := _SHARE.findall(heard):
            tell(float(shares[-1]) / 100)
            heard = _SHARE.sub("", heard)
    return _words(heard)


def _why(source: Path, target: Path, words: str) -> DiskFull | HypervisorFailed:
    if "No space left" in words or "quota" in words:
        return DiskFull(f"{target.parent}: no room is left on the disk to convert {source}; free some and try again")
    return HypervisorFailed(f"qemu-img cannot convert {source}: {words}")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (program() or "qemu-img", *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE,
        check=False,
    )


def _words(text: str) -> str:
    """What a program said, as one short line."""
    return " ".join(text.split())[-300:] or "it said nothing"
