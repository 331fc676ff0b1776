"""Tests with real virtual machines take minutes: they run only when this directory, or a part of it, is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.house import House, house
from tests.vm import guest_image
from tests.vm.guests import awaited, make
from vmcontroller.errors import BuildFailed
from vmcontroller.images.debian import tools

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is collected by a plain ``pytest``."""
    named = [Path(config.invocation_params.dir, argument.split("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def image() -> str:
    """The built image's disk."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed; on Debian: qemu-system-x86 and qemu-utils")
    try:
        tools.require()
        return str(guest_image.shelf().find("default"))
    except BuildFailed as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[House]:
    """A daemon with one guest, called "guest", which has said HELLO; each test leaves it so."""
    with house(tmp_path_factory.mktemp("qemu"), "--hypervisor", "qemu") as lived:
        make(lived, "guest", image)
        lived.call("start", "guest")
        awaited(lived, "guest")
        yield lived
