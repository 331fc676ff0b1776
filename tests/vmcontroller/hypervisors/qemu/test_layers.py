"""The layers of a disk, made by the real qemu-img."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vmcontroller.errors import DiskFull, HypervisorFailed, SnapshotDamaged
from vmcontroller.hypervisors.qemu import layers as module
from vmcontroller.hypervisors.qemu.layers import Layers
from vmcontroller.hypervisors.qemu.record import Base

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="apt install qemu-utils")
_SIZE = 1 << 20


@pytest.fixture
def base(tmp_path: Path) -> Base:
    image = tmp_path / "image.raw"
    image.write_bytes(b"0" * _SIZE)
    return Base(str(image), "raw", _SIZE)


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    (tmp_path / "disk").mkdir()
    return Layers(tmp_path / "disk")


def put(layers: Layers, number: int, at: int, pattern: str) -> None:
    """Write 64 KiB of one octet through a layer."""
    command = ("qemu-io", "-f", "qcow2", "-c", f"write -P {ord(pattern)} {at << 16} 64k", str(layers.path(number)))
    subprocess.run(command, check=True, capture_output=True)


def seen(layers: Layers, number: int) -> str:
    """What a guest would see through a layer: one letter for each 64 KiB."""
    raw = layers.folder / "seen.raw"
    subprocess.run(("qemu-img", "convert", "-O", "raw", layers.path(number), raw), check=True)
    content = raw.read_bytes()
    raw.unlink()
    return "".join(chr(content[at]) for at in range(0, len(content), 1 << 16))


def test_chain(layers: Layers, base: Base) -> None:
    """What lies upon what stands in the files; the image below is not written on."""
    first = layers.add(base)
    second = layers.add(base, first)
    other = layers.add(base, first)
    assert (first, second, other) == (1, 2, 3)
    assert (layers.below(first), layers.below(second), layers.chain(other)) == (None, 1, [1, 3])
    assert layers.upon(first) == [2, 3]
    put(layers, second, 0, "x")
    assert seen(layers, second) == "x" + 15 * "0"
    assert seen(layers, other) == 16 * "0"
    assert Path(base.path).read_bytes() == b"0" * _SIZE
    assert layers.path(first).stat().st_mode & 0o777 == 0o600


def test_image_with_a_number(layers: Layers, tmp_path: Path) -> None:
    """An image that is called like a layer is none."""
    image = tmp_path / "7.qcow2"
    subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", image, "1M"), check=True)
    assert layers.below(layers.add(Base(str(image), "qcow2", _SIZE))) is None


def test_unneeded(layers: Layers, base: Base) -> None:
    """Unneeded is what is neither written on nor pinned, with nothing upon it."""
    for below in (None, 1, 2, 1):
        layers.add(base, below)
    assert layers.unneeded({3}, 4) == []
    assert layers.unneeded(set(), 4) == [3]
    layers.drop(3)
    assert layers.unneeded(set(), 4) == [2]


def test_mergeable(layers: Layers, base: Base) -> None:
    """Two frozen layers are merged when only the upper one needs the lower one."""
    for below in (None, 1, 2, 3):
        layers.add(base, below)
    assert layers.mergeable({1, 2, 3}, 4) is None
    assert layers.mergeable({2, 3}, 4) == (1, 2)
    assert layers.mergeable({1, 3}, 4) == (2, 3)
    assert layers.mergeable({1, 2}, 4) is None  # The written one is never merged.
    layers.add(base, 1)
    assert layers.mergeable({2, 3}, 5) is None  # Two need it.


def test_merge(layers: Layers, base: Base) -> None:
    """A merge changes nothing that is seen from above."""
    for number, below in enumerate((None, 1, 2), 1):
        layers.add(base, below)
        put(layers, number, number, "abc"[number - 1])
        put(layers, number, 9, "abc"[number - 1])
    before = seen(layers, 3)
    layers.merge(2)
    assert seen(layers, 3) == before
    layers.put_upon(3, 1)
    layers.drop(2)
    assert seen(layers, 3) == before
    assert layers.chain(3) == [1, 3]


def test_seal(layers: Layers, base: Base) -> None:
    """A sealed layer that was changed, cut or removed is damaged."""
    layers.add(base)
    put(layers, 1, 3, "x")
    layers.seal(1)
    layers.verify(1)
    whole = layers.path(1).read_bytes()
    for broken in (whole[:-1], whole[:-1] + b"!", b""):
        layers.path(1).write_bytes(broken)
        with pytest.raises(SnapshotDamaged, match="not what it was"):
            layers.verify(1)
    layers.path(1).unlink()
    with pytest.raises(SnapshotDamaged):
        layers.verify(1)


def test_without_a_seal(layers: Layers, base: Base) -> None:
    """A layer without a seal has to be consistent."""
    layers.add(base)
    put(layers, 1, 3, "x")
    layers.verify(1)
    with layers.path(1).open("r+b") as file:
        file.seek(48)  # Where the table of reference counts stands.
        file.write(b"\xff" * 8)
    with pytest.raises(SnapshotDamaged, match="damaged"):
        layers.verify(1)


@pytest.mark.parametrize("content", [b"", b"QFI", b"x" * 4096])
def test_no_layer(layers: Layers, content: bytes) -> None:
    """A file that is no qcow2 is told of as a damaged layer."""
    layers.path(1).write_bytes(content)
    with pytest.raises(SnapshotDamaged):
        layers.chain(1)


def test_complaints(layers: Layers, base: Base) -> None:
    """What qemu-img says is in the error."""
    with pytest.raises(HypervisorFailed, match="commit"):
        layers.merge(8)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where qemu-img finds no room, the error is DiskFull."""
    program = tmp_path / "qemu-img"
    program.write_text("#!/bin/sh\necho 'error while writing: No space left on device' >&2; exit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DiskFull, match="qcow2"):
        module.run("create", tmp_path / "1.qcow2")
