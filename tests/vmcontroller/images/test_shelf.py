"""Names, users and files on the shelf."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.vmcontroller.images import disks
from vmcontroller.errors import BadRequest, ImageDamaged, ImageInUse, NoSuchImage
from vmcontroller.images import manifest
from vmcontroller.images.manifest import Boot, Manifest
from vmcontroller.images.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "images")


def put(shelf: Shelf, text: str = "disk") -> str:
    """An image as a build leaves it; its hash."""
    with shelf.draft("build") as draft:
        disk = disks.raw(draft / "disk.raw", text)
        sha256 = hashlib.sha256(disk.read_bytes()).hexdigest()
        (draft / "kernel").write_text("kernel")
        files = {"disk.raw": sha256, "kernel": hashlib.sha256(b"kernel").hexdigest()}
        told = Manifest(sha256, "raw", disks.MIB, "default", "1.0", files, Boot("kernel", "kernel", "quiet"), {"a": 1})
        (draft / manifest.FILE).write_text(told.text())
        shelf.add_built(draft)
    return sha256


def test_an_empty_store(shelf: Shelf) -> None:
    """Has no images, and makes no directory to say so."""
    assert shelf.entries() == []
    with pytest.raises(NoSuchImage, match="vmcontroller image build"):
        shelf.find("")
    with pytest.raises(NoSuchImage, match="'nothing'"):
        shelf.find("nothing")
    assert not shelf.directory.exists()


def test_found(shelf: Shelf) -> None:
    """By name, by the beginning of its hash, as the default one; everything else is a path."""
    sha256 = put(shelf)
    shelf.name("default", sha256)
    disk = shelf.directory / sha256 / "disk.raw"
    assert {shelf.find(which) for which in ("", "default", sha256[:8], sha256)} == {disk}
    assert shelf.find("/somewhere/else") == Path("/somewhere/else")
    assert shelf.find("images/else") == Path("images/else")


def test_entries(shelf: Shelf) -> None:
    """Each with its names, its users, its formats and its size; named ones first."""
    first, second = put(shelf, "one"), put(shelf, "two")
    shelf.name("b", second)
    shelf.name("a", second)
    shelf.hold("qemu.vm-1", first)
    shelf.add_disk(first, disks.qcow2(shelf.directory / ".draft"), "qcow2", "0" * 64)
    found = shelf.entries()
    assert [(entry.sha256, entry.names, entry.users, entry.formats) for entry in found] == [
        (second, ("a", "b"), (), ("raw",)),
        (first, (), ("qemu.vm-1",), ("qcow2", "raw")),
    ]
    assert found[1].octets > 2 * disks.MIB
    assert found[0].manifest is not None
    assert found[0].manifest.boot == Boot("kernel", "kernel", "quiet")


def test_removed(shelf: Shelf) -> None:
    """A name goes first; the image goes with its last name, and nothing is left of it."""
    sha256 = put(shelf)
    shelf.name("a", sha256)
    shelf.name("b", sha256)
    assert shelf.remove("a") == ["a"]
    assert shelf.find("b").exists()
    assert shelf.remove("b") == ["b", sha256]
    assert shelf.entries() == []
    assert [path for path in shelf.directory.rglob("*") if path.is_file()] == []
    with pytest.raises(NoSuchImage):
        shelf.remove("b")


def test_removed_by_hash(shelf: Shelf) -> None:
    """All names go with it."""
    sha256 = put(shelf)
    shelf.name("a", sha256)
    shelf.name("b", sha256)
    assert shelf.remove(sha256[:12]) == ["a", "b", sha256]


def test_renamed(shelf: Shelf) -> None:
    """The image that had the name goes, but not while something else needs it."""
    first, second, third = (put(shelf, text) for text in ("one", "two", "three"))
    shelf.name("a", first)
    shelf.rename("a", first)
    shelf.rename("a", second)
    assert {entry.sha256 for entry in shelf.entries()} == {second, third}
    shelf.hold("qemu.a", second)
    shelf.rename("a", third)
    assert {entry.sha256 for entry in shelf.entries()} == {second, third}


def test_in_use(shelf: Shelf) -> None:
    """What VMs are made from stays until they are gone."""
    sha256 = put(shelf)
    shelf.name("a", sha256)
    for number in range(5):
        shelf.hold(f"qemu.vm-{number}", sha256)
    with pytest.raises(ImageInUse, match=r"\(qemu.vm-0, qemu.vm-1, qemu.vm-2 and others\)"):
        shelf.remove("a")
    assert shelf.find("a").exists()
    for number in range(5):
        shelf.release(f"qemu.vm-{number}")
        shelf.release(f"qemu.vm-{number}")
    shelf.remove("a")


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a\n", "a b", "a" * 65])
def test_bad_names(shelf: Shelf, name: str) -> None:
    """No name leads out of the store."""
    with pytest.raises(BadRequest, match="no name for an image"):
        shelf.name(name, "0" * 64)


@pytest.mark.parametrize("user", ["", "a/b", "../a", ".a", "a\n"])
def test_bad_users(shelf: Shelf, user: str) -> None:
    """Nor does a VM's id; any id that a VM can have is taken."""
    with pytest.raises(BadRequest, match="stand for a VM"):
        shelf.hold(user, "0" * 64)
    shelf.hold(f"virtualbox.{'-' * 64}", "0" * 64)
    shelf.hold("-a-", "0" * 64)
    assert len(shelf.users("0" * 64)) == 2


def test_drafts(shelf: Shelf) -> None:
    """One that is left by a process that died is swept; one of ours is not."""
    with shelf.draft("convert") as draft:
        dead = shelf.directory / f".convert-{os.getpid() + 1}-x"
        dead.mkdir()
        shelf.sweep("convert")
        assert draft.exists()
        assert not dead.exists()
    assert not draft.exists()


@pytest.mark.parametrize(
    "text", ["{", '{"kind": "vmcontroller image"}', '{"kind": "vmcontroller image", "files": {"../x": ""}}']
)
def test_damaged_manifest(tmp_path: Path, text: str) -> None:
    """It is told, and names no file that lies elsewhere."""
    (tmp_path / manifest.FILE).write_text(text)
    with pytest.raises(ImageDamaged, match=r"manifest\.json"):
        manifest.read(tmp_path)


def test_manifest_with_a_path(tmp_path: Path) -> None:
    """A manifest comes with an image from a stranger."""
    told = Manifest("0" * 64, "raw", 1, files={"../../etc/shadow": "0"})
    (tmp_path / manifest.FILE).write_text(told.text())
    with pytest.raises(ImageDamaged):
        manifest.read(tmp_path)


def test_manifest_of_others(tmp_path: Path) -> None:
    """Any other file of this name is none of ours."""
    (tmp_path / manifest.FILE).write_text('{"name": "an app"}')
    assert manifest.read(tmp_path) is None
