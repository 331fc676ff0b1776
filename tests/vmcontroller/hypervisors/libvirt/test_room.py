"""A domain starts only where the host has its memory; on libvirt's test driver, whose domains take none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmcontroller.errors import MemoryShort
from vmcontroller.hypervisors.common.memory import OVERHEAD_MB, RESERVE_MB, available_mb
from vmcontroller.hypervisors.libvirt.room import Room

libvirt: Any = pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")

Make = Callable[[str, int], Any]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Defines a domain with a name and so many MiB."""
    node = tmp_path / "node.xml"
    node.write_text("<node/>")
    connection = libvirt.open(f"test://{node}")
    domains: list[Any] = []

    def define(name: str, memory_mb: int) -> Any:
        xml = f"<domain type='test'><name>{name}</name><memory unit='MiB'>{memory_mb}</memory><os><type>hvm</type></os>"
        domains.append(connection.defineXML(f"{xml}</domain>"))
        return domains[-1]

    yield define
    for domain in domains:
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    connection.close()


def test_there_is_room(make: Make) -> None:
    """It runs."""
    domain = make("small", 16)
    Room().start(domain)
    assert domain.isActive()


def test_there_is_none(make: Make) -> None:
    """It is not started, and the sentence says how much is needed and how much is left."""
    domain = make("large", available_mb())
    with pytest.raises(MemoryShort, match=r"needs \d+ MiB.*and \d+ are left"):
        Room().start(domain)
    assert not domain.isActive()


def test_another_was_promised_it(make: Make) -> None:
    """What a domain that runs has not touched yet is not free."""
    room = Room()
    two_thirds = (available_mb() - OVERHEAD_MB - RESERVE_MB) * 2 // 3
    room.start(make("first", two_thirds))
    with pytest.raises(MemoryShort):
        room.start(make("second", two_thirds))
