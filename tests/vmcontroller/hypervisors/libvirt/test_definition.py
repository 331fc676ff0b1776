"""A machine as domain XML: whose it is, what it has, and that its network is closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from lxml import etree

from tests.contracts.harness import ODD_NAMES
from vmcontroller.hypervisors.common.driven import Record
from vmcontroller.hypervisors.libvirt.definition import MARK, Parts, domain_xml, mac_of, uuid_of
from vmcontroller.hypervisors.libvirt.dialect import KVM, TCG, TEST, XEN, Dialect
from vmcontroller.images.store import DirectBoot

RECORD = Record("owner", "vm-1", "VM 1", "g", "", memory_mb=64, cpus=3, network=False)
PARTS = Parts(Path("/s/disk.qcow2"), Path("/s/seed.iso"), None)
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")


def made(dialect: Dialect = TCG, record: Record = RECORD, parts: Parts = PARTS, confined: bool = False) -> Element:
    return fromstring(domain_xml(record, dialect, parts, confined))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_mark(name: str) -> None:
    """Any name is only a title; owner, id and group stand in the metadata."""
    domain = made(record=replace(RECORD, name=name))
    mark = domain.find(f"metadata/{{{MARK}}}machine")
    assert mark is not None
    assert mark.attrib == {"owner": "owner", "id": "vm-1", "group": "g"}
    assert (domain.findtext("title"), domain.findtext("name")) == (name, "vmcontroller-owner-vm-1")


def test_identity() -> None:
    """UUID and address are the machine's for ever, and no other's."""
    assert uuid_of("a", "b") == uuid_of("a", "b")
    assert len({uuid_of("a", "b"), uuid_of("a", "c"), uuid_of("b", "b")}) == 3
    assert mac_of("a", "b").startswith("52:54:00:")


def test_size() -> None:
    """Memory and processors are those of the spec, at idle priority."""
    domain = made()
    assert (domain.findtext("memory"), domain.findtext("vcpu")) == ("64", "3")
    assert [tune.get("scheduler") for tune in domain.iterfind("cputune/*")] == ["idle", "idle"]


def test_disks() -> None:
    """The machine's own disk first, then the seed, which it cannot write on."""
    disks = made().findall("devices/disk")
    assert [disk.find("source").get("file") for disk in disks] == ["/s/disk.qcow2", "/s/seed.iso"]  # type: ignore[union-attr]
    assert [disk.find("readonly") is not None for disk in disks] == [False, True]


@pytest.mark.parametrize("dialect", [KVM, TCG])
def test_closed_network(dialect: Dialect) -> None:
    """QEMU's only network is restricted; libvirt adds none."""
    domain = made(dialect)
    assert domain.findall("devices/interface") == []
    words = [argument.get("value") for argument in domain.iter("{http://libvirt.org/schemas/domain/qemu/1.0}arg")]
    assert words[:2] == ["-netdev", "user,id=vmcontroller,restrict=on,ipv6=off"]
    assert not [word for word in words if word and "hostfwd" in word]


def test_isolated_network() -> None:
    """Where there is no user networking the guest is on the isolated network, and no other."""
    (card,) = made(XEN).findall("devices/interface")
    assert [(child.tag, child.attrib) for child in card] == [
        ("mac", {"address": mac_of("owner", "vm-1").lower()}),
        ("source", {"network": "vmcontroller"}),
    ]


def test_direct_boot() -> None:
    """A kernel that comes with the image is booted."""
    boot = DirectBoot(Path("/i/vmlinuz"), Path("/i/initrd"), "root=/dev/vda")
    system = made(parts=replace(PARTS, boot=boot)).find("os")
    assert system is not None
    assert [system.findtext(tag) for tag in ("kernel", "initrd", "cmdline")] == [
        "/i/vmlinuz",
        "/i/initrd",
        "root=/dev/vda",
    ]


def test_runs_as_ourselves() -> None:
    """Where libvirt runs machines as another user, ours run as the daemon's, whose files they are."""
    label = made(confined=True).find("seclabel")
    assert label is not None
    assert (label.get("relabel"), label.findtext("label", "")[:1]) == ("no", "+")


@pytest.mark.parametrize("dialect", [KVM, TCG, XEN, TEST])
@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are absent; on Debian: apt install libvirt0")
def test_schema(dialect: Dialect) -> None:
    """libvirt's own grammar takes it."""
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    schema.assertValid(etree.fromstring(domain_xml(RECORD, dialect, PARTS, confined=True)))
