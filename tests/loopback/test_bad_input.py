"""What no machine can be made of, and what nobody can do with one: each a fault of its own, and nothing is changed.

The daemon is a real one with real QEMU, whose guest is a boot sector: nothing here needs an operating system. What
other hypervisors say is in tests/contracts/refusals.py; what each kind of bad file is, in tests/vmcontroller/images/.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.contracts import boot_sector
from tests.loopback.house import House, house, wait_for
from tests.vmcontroller.images import disks
from vmcontroller import errors
from vmcontroller.client import ApiFault

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-system-x86_64") and shutil.which("qemu-img")),
    reason="QEMU is not installed; on Debian: qemu-system-x86 and qemu-utils",
)
SMALL = {"memoryMB": 64}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("home") / "state", "--hypervisor", "qemu", "--set", "vms.booting=100") as lived:
        yield lived


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("image") / "disk.raw"
    boot_sector.write(path)
    return str(path)


@pytest.fixture
def vm(home: House, image: str) -> Iterator[str]:
    """A machine that is off."""
    home.call("createVM", "m", image, SMALL)
    yield "m"
    if "m" in home.call("listVMs"):
        home.call("removeVM", "m")


def refused(kind: type[errors.VMControllerError], call: Callable[[], Any]) -> str:
    """It fails with this very code, and a sentence; this one."""
    with pytest.raises(ApiFault) as caught:
        call()
    assert caught.value.code == kind.code, caught.value
    assert "\n" not in str(caught.value)
    return str(caught.value)


def place(home: House, vm: str) -> Path:
    """Where a machine's files lie."""
    return home.state / "qemu" / str(home.call("getVM", vm)["id"])


def left(home: House) -> list[str]:
    """What there is of machines, in words."""
    folders = (home.state / "qemu", home.state / "images" / "users")
    files = [str(path) for folder in folders if folder.exists() for path in folder.iterdir()]
    return [*home.call("listVMs"), *files, *(line for line in home.processes() if "qemu-system" in line)]


# -- images


def missing(folder: Path) -> Path:
    return folder / "nothing"


def directory(folder: Path) -> Path:
    return folder


def device(folder: Path) -> Path:
    return Path("/dev/zero")


def link_out(folder: Path) -> Path:
    """A link out of the project's directory."""
    project = folder / "project"
    project.mkdir()
    boot_sector.write(folder / "others.raw")
    (project / "disk.raw").symlink_to(folder / "others.raw")
    return project / "disk.raw"


def evil_ova(folder: Path) -> Path:
    """An archive with a path that leaves its folder."""
    return disks.ova(folder / "evil.ova", {"machine.ovf": disks.OVF.encode(), "../disk.vmdk": b"x"})


def no_image(folder: Path) -> Path:
    (folder / "text").write_text("hello")
    return folder / "text"


def truncated(folder: Path) -> Path:
    """A disk that lacks its end."""
    whole = folder / "whole.raw"
    whole.write_bytes(disks.raw(folder / "disk.raw").read_bytes() + os.urandom(disks.MIB))
    cut = disks.convert(whole, "qcow2")
    os.truncate(cut, cut.stat().st_size - disks.MIB // 2)
    return cut


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (missing, errors.NoSuchImage),
        (directory, errors.ImageDenied),
        (device, errors.ImageDenied),
        (link_out, errors.ImageDenied),
        (evil_ova, errors.ImageDenied),
        (no_image, errors.BadImage),
        (truncated, errors.ImageDamaged),
    ],
)
def test_image(home: House, tmp_path: Path, make: Callable[[Path], Path], kind: type[errors.VMControllerError]) -> None:
    """The sentence names the file, and no machine is made."""
    path = make(tmp_path)
    assert str(path) in refused(kind, lambda: home.call("createVM", "m", str(path), SMALL))
    assert left(home) == []
    assert not (path.parent / "disk.vmdk").exists()
    assert not (tmp_path.parent / "disk.vmdk").exists()


# -- words


@pytest.mark.parametrize("name", ["a/b", "../m", "a\nb", "", "*"])
def test_name(home: House, image: str, name: str) -> None:
    """A name is no path, and one line."""
    refused(errors.BadName, lambda: home.call("createVM", name, image, SMALL))
    assert left(home) == []


@pytest.mark.parametrize("megabytes", [0, -1, 15, 10 << 20])
def test_memory(home: House, image: str, megabytes: int) -> None:
    """Neither nothing nor ten terabytes."""
    assert "memory" in refused(errors.BadSize, lambda: home.call("createVM", "m", image, {"memoryMB": megabytes}))
    assert left(home) == []


def test_more_memory_than_there_is(home: House, image: str) -> None:
    """A machine that may be made on another day does not start on this one."""
    home.call("createVM", "m", image, {"memoryMB": 1 << 20})
    refused(errors.MemoryShort, lambda: home.call("start", "m"))
    assert home.call("getState", "m") == "PoweredOff"
    home.call("removeVM", "m")


# -- snapshots


@pytest.mark.parametrize("state", ["PoweredOff", "Running"])
def test_snapshot_twice(home: House, vm: str, state: str) -> None:
    """The first one stays."""
    if state == "Running":
        home.call("start", vm)
    home.call("takeSnapshot", vm, "s", "first")
    refused(errors.SnapshotExists, lambda: home.call("takeSnapshot", vm, "s", "second"))
    assert [(s["name"], s["description"]) for s in home.call("listSnapshots", vm)] == [("s", "first")]
    assert home.call("getState", vm) == state


def test_no_such_snapshot(home: House, vm: str) -> None:
    """Neither restored nor deleted, whether there is another one or not."""
    for _ in range(2):
        assert "nothing" in refused(errors.UnknownSnapshot, lambda: home.call("restoreSnapshot", vm, "nothing"))
        refused(errors.UnknownSnapshot, lambda: home.call("deleteSnapshot", vm, "nothing"))
        assert home.call("getState", vm) == "PoweredOff"
        home.call("takeSnapshot", vm, "s")
        home.call("deleteSnapshot", vm, "s")
    refused(errors.UnknownSnapshot, lambda: home.call("restoreSnapshot", vm))


def test_restore_while_it_runs(home: House, vm: str) -> None:
    """It runs on."""
    home.call("takeSnapshot", vm, "s")
    home.call("start", vm)
    refused(errors.BadState, lambda: home.call("restoreSnapshot", vm, "s"))
    assert home.call("getState", vm) == "Running"


# -- behind our back


def test_nobody(home: House) -> None:
    """A VM that never was."""
    for verb in ("start", "powerOff", "removeVM", "getState"):
        assert "'nobody'" in refused(errors.UnknownVM, lambda verb=verb: home.call(verb, "nobody"))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("verbs", "state"),
    [((), "PoweredOff"), (("start",), "Running"), (("start", "pause"), "Paused"), (("start", "saveState"), "Saved")],
)
def test_directory_removed(home: House, image: str, vm: str, verbs: tuple[str, ...], state: str) -> None:
    """A VM whose directory somebody removed is unknown from then on; its process ends, and its name is free."""
    for verb in verbs:
        home.call(verb, vm)
    assert home.call("getState", vm) == state
    shutil.rmtree(place(home, vm))
    wait_for(lambda: home.call("listVMs") == [], "it is still listed")  # Not while a verb of it is under way.
    refused(errors.UnknownVM, lambda: home.call("start", vm))
    wait_for(lambda: left(home) == [], "something is left of it")
    home.call("createVM", vm, image, SMALL)
    home.call("start", vm)
    assert home.call("getState", vm) == "Running"


def test_process_killed(home: House, vm: str) -> None:
    """A VM whose process somebody ended is Aborted, refuses what needs a running one, and starts again."""
    home.call("start", vm)
    (line,) = (line for line in home.processes() if "qemu-system" in line)
    psutil.Process(int(line.split()[0])).kill()
    wait_for(lambda: home.call("getState", vm) == "Aborted", "nobody notices")
    for verb in ("pause", "saveState", "shutdown", "powerOff"):
        refused(errors.BadState, lambda verb=verb: home.call(verb, vm))  # type: ignore[misc]
    home.call("start", vm)
    assert home.call("getState", vm) == "Running"


def test_image_changed(home: House, vm: str, image: str) -> None:
    """A machine whose image was changed behind its back does not start upon it; with the old one it does."""
    before = Path(image).read_bytes()
    Path(image).write_bytes(before[:-1] + b"x")
    try:
        assert image in refused(errors.ImageDamaged, lambda: home.call("start", vm))
        assert home.call("getState", vm) == "PoweredOff"
    finally:
        Path(image).write_bytes(before)
    home.call("start", vm)
    assert home.call("getState", vm) == "Running"
