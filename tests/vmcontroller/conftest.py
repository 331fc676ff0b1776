"""What the tests of the host's core share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vmcontroller.doubles import Host
from tests.vmcontroller.house import House


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with two guests that have joined, a and b."""
    host = Host(tmp_path)
    host.add("a", "b")
    host.join("a", "b")
    host.said()
    yield host
    host.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()
