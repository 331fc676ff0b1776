"""``image …`` on a store of its own; no daemon runs, and none is started."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.images import disks
from tests.vmcontroller.images.test_shelf import put
from vmcontroller import cli
from vmcontroller.errors import BuildFailed
from vmcontroller.images import debian
from vmcontroller.images.manifest import Manifest
from vmcontroller.images.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "images")


def image(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = cli.main(["image", *words, "--state-dir", str(tmp_path / "state")], out, err)
    return code, out.getvalue(), err.getvalue()


def told(tmp_path: Path, *words: str) -> Any:
    """The result as JSON."""
    return json.loads(image(tmp_path, *words, "--json")[1])


def test_list(tmp_path: Path, shelf: Shelf) -> None:
    """A line for each, with its name, the beginning of its hash, and how many VMs use it."""
    assert image(tmp_path, "list") == (0, "", "")
    sha256 = put(shelf)
    shelf.name("default", sha256)
    shelf.hold("qemu.a", sha256)
    _, out, _ = image(tmp_path, "list")
    assert out.splitlines()[1].split() == ["default", sha256[:12], "raw", "1.0", "MB", "1.0", "1"]
    assert told(tmp_path, "list")[0]["users"] == ["qemu.a"]


def test_verify(tmp_path: Path, shelf: Shelf) -> None:
    """All in the store, or those that are named; it fails if one is not what it was."""
    one, two = put(shelf, "one"), put(shelf, "two")
    shelf.name("default", one)
    assert image(tmp_path, "verify", "default") == (0, "default: ok\n", "")
    disks.raw(shelf.directory / two / "disk.raw", "changed")
    code, out, _ = image(tmp_path, "verify")
    assert code == 1
    assert sorted(line.split(": ")[0] for line in out.splitlines()) == sorted((one[:12], two[:12]))
    assert "is not what it was" in out
    code, out, _ = image(tmp_path, "verify", "nothing")
    assert code == 1
    assert "no image is named 'nothing'" in out


def test_rm(tmp_path: Path, shelf: Shelf) -> None:
    """One that VMs use stays, and the sentence names them."""
    sha256 = put(shelf)
    shelf.name("default", sha256)
    shelf.hold("qemu.a", sha256)
    code, _, err = image(tmp_path, "rm", "default")
    assert (code, "(qemu.a); remove those first" in err) == (1, True)
    shelf.release("qemu.a")
    assert told(tmp_path, "rm", "default") == {"removed": ["default", sha256]}
    assert image(tmp_path, "rm", "default")[0] == 1


def test_adopt(tmp_path: Path) -> None:
    """It says what is missing, and writes what installs the agent."""
    disk = disks.raw(tmp_path / "disk.raw")
    code, out, _ = image(tmp_path, "adopt", str(disk), "--output", str(tmp_path / "made"))
    assert code == 1
    assert out.startswith("ok    raw\nlacks a boot loader")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["cidata.iso", "meta-data", "user-data"]


class Builder:
    """In the place of a real build."""

    def __init__(self) -> None:
        self.orders: list[debian.Order] = []
        self.fails = False

    def build(self, order: debian.Order, into: Path, tell: Any) -> Manifest:
        """What a build leaves."""
        self.orders.append(order)
        tell("installing")
        if self.fails:
            raise BuildFailed("mmdebstrap failed; it said: nothing")
        told = Manifest("a" * 64, "raw", disks.MIB, order.name, "1.0", {"disk.raw": "a" * 64})
        disks.raw(into / "disk.raw")
        (into / "manifest.json").write_text(told.text())
        return told


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    monkeypatch.setattr(debian, "build", made.build)
    return made


def test_build(tmp_path: Path, shelf: Shelf, builder: Builder) -> None:
    """It lies in the store under its name; each step is told."""
    code, out, err = image(tmp_path, "build", "--include", "autodock-vina", "--disk", "20")
    assert (code, err) == (0, "vmcontroller: installing\n")
    assert "a" * 64 in out
    assert shelf.find("") == shelf.directory / ("a" * 64) / "disk.raw"
    assert (builder.orders[0].include, builder.orders[0].disk_mb) == (("autodock-vina",), 20 * 1024)
    assert builder.orders[0].packages.count("autodock-vina") == 1


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_build_before_anything_else(tmp_path: Path, builder: Builder) -> None:
    """The state directory that it makes is its owner's alone, as the daemon would make it."""
    assert image(tmp_path, "build")[0] == 0
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_build_elsewhere(tmp_path: Path, shelf: Shelf, builder: Builder) -> None:
    """Into a directory that is not there yet; the store is left alone."""
    target = tmp_path / "images" / "mine"
    assert image(tmp_path, "build", "--output", str(target), "--mirror", "file:///mirror")[0] == 0
    assert sorted(path.name for path in target.iterdir()) == ["disk.raw", "manifest.json"]
    assert builder.orders[0].mirrors == ("deb file:///mirror bookworm main",)
    assert not shelf.directory.exists()
    code, _, err = image(tmp_path, "build", "--output", str(target))
    assert (code, "exists already" in err) == (1, True)
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


def test_failed_build(tmp_path: Path, shelf: Shelf, builder: Builder) -> None:
    """It leaves nothing, and the old image keeps its name."""
    sha256 = put(shelf)
    shelf.name("default", sha256)
    builder.fails = True
    assert image(tmp_path, "build")[0] == 1
    assert shelf.hash_of("default") == sha256
    assert list(shelf.directory.glob(".*")) == []


def test_bad_name(tmp_path: Path, builder: Builder) -> None:
    """Nothing is built for a name that cannot be."""
    code, _, err = image(tmp_path, "build", "--name", "a/b")
    assert (code, "no name for an image" in err) == (1, True)
    assert builder.orders == []
