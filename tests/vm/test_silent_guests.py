"""Images that are no good: what their users see, and that nobody else suffers from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts import boot_sector
from tests.loopback.house import House
from tests.loopback.operator import Operator
from tests.vm.guests import PATIENCE, make
from vmcontroller.cli import codes
from vmcontroller.client import ApiFault
from vmcontroller.errors import GuestSilent, ImageDamaged
from vmcontroller.images import manifest
from vmcontroller.images.shelf import Shelf

#: As many as may boot side by side.
MANY = os.cpu_count() or 1


@pytest.fixture(scope="module")
def dumb(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image without an agent, that boots and does nothing of ours."""
    path = tmp_path_factory.mktemp("dumb") / "disk.raw"
    boot_sector.write(path)
    return str(path)


@pytest.fixture
def silent(home: House, dumb: str) -> Iterator[list[str]]:
    """VMs that boot and never say HELLO, so many that it is nobody else's turn."""
    names = [f"silent{number}" for number in range(MANY)]
    for name in names:
        home.call("createVM", name, dumb, {"memoryMB": 64})
        home.call("start", name)
    yield names
    for name in {*names, "next"} & set(home.call("listVMs")):
        home.call("removeVM", name)


def test_guest_that_never_says_hello(home: House, silent: list[str], dumb: str) -> None:
    """It is shown as silent, refuses commands with the reason, and can be waited for, saved, stopped and removed."""
    operator, vm = Operator(home.state), silent[0]
    assert home.call("waitForVM", vm, 0.5) is False
    rows = operator.here("status").out.decode().splitlines()
    assert [row.split()[3:5] for row in rows if row.startswith(vm)] == [["Running", "silent"]]
    with pytest.raises(ApiFault, match="has not said HELLO yet; waitForVM") as caught:
        home.run(vm, "true")
    assert caught.value.code == GuestSilent.code
    ran = operator("run", vm, "--", "true")
    assert ran.code == codes.RUN_FAILED
    assert "has not said HELLO" in ran.err
    assert "its agent does not answer" in operator.here("doctor").out.decode()
    for verb, state in (("pause", "Paused"), ("resume", "Running"), ("saveState", "Saved"), ("start", "Running")):
        home.call(verb, vm)
        assert home.call("getState", vm) == state
    assert operator.here("stop", "--hard", vm).code == 0
    assert home.call("getState", vm) == "PoweredOff"
    assert operator.here("rm", vm).code == 0
    assert vm not in home.call("listVMs")


def test_next_one_boots(home: House, silent: list[str], dumb: str) -> None:
    """Whoever starts a VM while silent ones have all the turns waits until one of them goes, or has had its time."""
    home.call("createVM", "next", dumb, {"memoryMB": 64})
    with Operator(home.state).begin("start", "--wait", "0.1", "next") as starting:
        home.call("removeVM", silent[0])
        _, said = starting.communicate(timeout=PATIENCE)
    assert b"its agent has not answered" in said
    assert home.call("getState", "next") == "Running"


@pytest.fixture
def tampered(home: House, image: str) -> Iterator[Path]:
    """An image in the daemon's store, with a manifest, under the name "tampered"; its disk."""
    shelf = Shelf(home.state / "images")
    with shelf.draft("copy") as draft:
        shutil.copytree(Path(image).parent, draft, dirs_exist_ok=True)
        told = manifest.read(draft)
        assert told is not None
        shelf.add_built(draft)
    shelf.name("tampered", told.sha256)
    yield shelf.find("tampered")
    if "made" in home.call("listVMs"):
        home.call("removeVM", "made")
    shutil.rmtree(shelf.find("tampered").parent)  # The shelf itself would not: the other guest's image has its hash.
    (shelf.directory / "names" / "tampered").unlink()


@pytest.mark.parametrize("damage", ["changed", "truncated"])
def test_image_that_is_not_what_it_was(home: House, tampered: Path, damage: str) -> None:
    """No VM is made from it, and none that was made before starts upon it."""
    make(home, "made", "tampered")
    with tampered.open("r+b") as file:
        if damage == "changed":
            file.seek(-1, os.SEEK_END)
            file.write(b"!")
        else:
            file.truncate(tampered.stat().st_size // 2)
    for call in (lambda: make(home, "more", "tampered"), lambda: home.call("start", "made")):
        with pytest.raises(ApiFault, match=str(tampered.parent)) as caught:
            call()
        assert caught.value.code == ImageDamaged.code
    assert home.call("getState", "made") == "PoweredOff"
    assert "more" not in home.call("listVMs")
    verified = Operator(home.state).here("image", "verify", "tampered")
    assert verified.code != 0
    assert str(tampered).encode() in verified.out
