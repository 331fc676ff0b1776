"""A disk that really fills up under a running guest: nothing is half done, and nothing that was there is harmed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_start import mounted
from tests.loopback.house import House, house, wait_for
from tests.vm.guests import awaited, gated, goes_on, let_go, make, out
from vmcontroller.client import ApiFault
from vmcontroller.errors import DiskFull

MIB = 1 << 20
#: A disk for a guest's two snapshots; one holds some 130 MiB.
SIZE = 640 * MIB


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[House]:
    """A daemon on a disk of its own, with one guest."""
    disk = tmp_path_factory.mktemp("disk")
    with (
        mounted(disk, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"),
        house(disk / "state", "--hypervisor", "qemu", "--set", "min_free_disk=0") as lived,
    ):
        make(lived, "guest", image)
        lived.call("start", "guest")
        awaited(lived, "guest")
        yield lived


def fill(home: House, left: int) -> Path:
    """Leave so many octets of the disk; the file that takes the rest."""
    ballast = home.state.parent / "ballast"
    wait_for(lambda: grown(ballast, left), "the disk does not fill")
    return ballast


def grown(ballast: Path, left: int) -> bool:
    """Take what is free but for so many octets, unless somebody else was faster."""
    with ballast.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(ballast.parent).free - left)
        except OSError:
            return False
        return True


def files(home: House) -> set[str]:
    """The files of the guest's snapshots, saved states and layers."""
    place = home.state / "qemu"
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def full(home: House, verb: str, *arguments: str) -> str:
    """It fails with DiskFull's code and a sentence that says what to do; this one."""
    with pytest.raises(ApiFault) as caught:
        home.call(verb, "guest", *arguments)
    assert caught.value.code == DiskFull.code, caught.value
    assert "free some" in str(caught.value)
    return str(caught.value)


def make_room(home: House, ballast: Path) -> None:
    """There is room again; a guest that wrote while there was none stands still, and goes on."""
    ballast.unlink()
    if home.call("getState", "guest") == "Paused":
        home.call("resume", "guest")


@pytest.mark.parametrize("room", [0, 40 * MIB])
def test_snapshot(small: House, room: int) -> None:
    """Whether there is room for nothing or for a part of the memory: the guest goes on, and the older one is whole."""
    running = gated(small, "go", 7)
    small.call("takeSnapshot", "guest", "older")
    before = files(small)
    ballast = fill(small, room)
    full(small, "takeSnapshot", "newer")
    assert files(small) == before
    assert small.call("getState", "guest") == "Running" or not room
    assert [snapshot["name"] for snapshot in small.call("listSnapshots", "guest")] == ["older"]
    make_room(small, ballast)
    goes_on(small, running, "go", 7)
    small.call("takeSnapshot", "guest", "newer")
    small.call("powerOff", "guest")
    small.call("restoreSnapshot", "guest", "older")
    small.call("start", "guest")
    awaited(small, "guest")
    let_go(small, "go")
    wait_for(lambda: "go" not in out(small, "ls").split(), "what ran in the older snapshot does not run")
    for name in ("older", "newer"):
        small.call("deleteSnapshot", "guest", name)


def test_saved_state(small: House) -> None:
    """A guest that cannot be put away runs on; when there is room it is."""
    running = gated(small, "go", 7)
    before = files(small)
    ballast = fill(small, 40 * MIB)
    full(small, "saveState")
    assert files(small) == before
    assert small.call("getState", "guest") == "Running"
    make_room(small, ballast)
    small.call("saveState", "guest")
    small.call("start", "guest")
    awaited(small, "guest")
    goes_on(small, running, "go", 7)


def test_guest_writes(small: House) -> None:
    """A guest that fills the disk itself is Paused, and goes on where it was when there is room."""
    ballast = fill(small, 20 * MIB)
    running = small.run("guest", "/bin/sh", "-c", "head -c 60000000 /dev/urandom > /root/big; sync; md5sum < /root/big")
    wait_for(lambda: small.call("getState", "guest") == "Paused", "it is not noticed")
    make_room(small, ballast)
    digest = small.result(running)["out"]
    assert out(small, "md5sum < /root/big") == digest.strip()
