"""The connection: what is missing is said, what broke is made again, and errors are sentences."""

from __future__ import annotations

from typing import Any

import pytest

from vmcontroller.errors import DiskFull, HypervisorFailed, HypervisorMissing, UnknownVM
from vmcontroller.hypervisors.libvirt.link import Link, binding, connect, explain

libvirt: Any = pytest.importorskip("libvirt", reason="no Python module libvirt; on Debian: python3-libvirt")


def test_no_binding() -> None:
    """The sentence says what to install."""
    with pytest.raises(HypervisorMissing, match=r"apt install python3-libvirt.*pip install"):
        binding("no_such_libvirt")


def test_no_daemon() -> None:
    """So it does when nobody answers."""
    with pytest.raises(HypervisorMissing, match="start libvirtd, or install it"):
        connect("qemu+unix:///system?socket=/nowhere/libvirt-sock")


def test_broken_connection_is_made_again() -> None:
    """A libvirtd that was started anew is found again."""
    link = Link("test:///default")
    link.open()
    link.run(lambda connection: connection.close())
    assert link.run(lambda connection: connection.getType()) == "TEST"
    link.close()
    link.close()


def test_errors() -> None:
    """The caller hears libvirt's own words."""
    link = Link("test:///default")
    with pytest.raises(UnknownVM, match="does not know the VM"):
        link.run(lambda connection: connection.lookupByName("nobody"))
    with pytest.raises(HypervisorFailed, match="libvirt: missing name"):
        link.run(lambda connection: connection.defineXML("<domain/>"))
    link.close()


def test_full_disk() -> None:
    """A full disk has a fault of its own."""

    class Full(libvirt.libvirtError):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("")

        def __str__(self) -> str:
            return "cannot write: No space left on device"

        def get_error_code(self) -> int:
            return 38

    assert isinstance(explain(Full()), DiskFull)
