"""A machine as libvirt's domain XML (https://libvirt.org/formatdomain.html), with the owner's mark in its metadata."""

from __future__ import annotations

import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from vmcontroller.hypervisors.common.record import Record
from vmcontroller.hypervisors.libvirt.dialect import NETWORK, Dialect
from vmcontroller.images.store import DirectBoot

MARK = "urn:vmcontroller:machine"
_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
_MACHINES = {"x86_64": "q35", "aarch64": "virt"}
#: The id of QEMU's network back end, which the forwards are added to.
NETDEV = "vmcontroller"

register_namespace("vmc", MARK)
register_namespace("qemu", _QEMU)


@dataclass(frozen=True)
class Parts:
    """What a machine is made of: its own disk (qcow2), its seed, and a kernel where the image brings one."""

    disk: Path
    seed: Path
    boot: DirectBoot | None


def uuid_of(owner: str, vm: str) -> str:
    """The domain's UUID: the same machine of the same owner always has the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{MARK}:{owner}/{vm}"))


def mac_of(owner: str, vm: str) -> str:
    """The network card's address, in QEMU's own range."""
    tail = uuid.UUID(uuid_of(owner, vm)).bytes[-3:]
    return ":".join(f"{octet:02X}" for octet in (0x52, 0x54, 0x00, *tail))


def domain_xml(record: Record, dialect: Dialect, parts: Parts, confined: bool) -> str:
    """The domain. ``confined``: libvirt can be told which user it runs as, and shall use our own."""
    domain = Element("domain", type=dialect.kind)
    _identity(domain, record)
    _text(domain, "memory", str(record.memory_mb), unit="MiB")
    _text(domain, "vcpu", str(record.cpus))
    _system(domain, dialect, parts.boot)
    _processor(domain, record, dialect)
    for event, then in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(domain, f"on_{event}", then)
    _devices(SubElement(domain, "devices"), record, dialect, parts)
    if confined:
        label = SubElement(domain, "seclabel", type="static", model="dac", relabel="no")
        _text(label, "label", f"+{os.getuid()}:+{os.getgid()}")
    if dialect.forwards:
        _closed_network(domain, record)
    return tostring(domain, encoding="unicode")


def _identity(domain: Element, record: Record) -> None:
    _text(domain, "name", f"vmcontroller-{record.owner}-{record.id}")
    _text(domain, "uuid", uuid_of(record.owner, record.id))
    _text(domain, "title", record.name)
    mark = SubElement(SubElement(domain, "metadata"), f"{{{MARK}}}machine")
    mark.attrib.update(owner=record.owner, id=record.id, group=record.group)


def _system(domain: Element, dialect: Dialect, boot: DirectBoot | None) -> None:
    system = SubElement(domain, "os")
    kind = _text(system, "type", "hvm")
    if dialect.forwards:
        kind.set("arch", platform.machine())
        if platform.machine() in _MACHINES:
            kind.set("machine", _MACHINES[platform.machine()])
    if boot:
        _text(system, "kernel", str(boot.kernel))
        _text(system, "initrd", str(boot.initrd))
        _text(system, "cmdline", boot.arguments)
    SubElement(SubElement(domain, "features"), "acpi")


def _processor(domain: Element, record: Record, dialect: Dialect) -> None:
    if dialect.cpu == "host-model":
        SubElement(domain, "cpu", mode=dialect.cpu)
    elif dialect.cpu:
        _text(SubElement(domain, "cpu", mode="custom", match="exact", check="none"), "model", dialect.cpu)
    if dialect.forwards:
        tune = SubElement(domain, "cputune")
        SubElement(tune, "vcpusched", vcpus=f"0-{record.cpus - 1}", scheduler="idle")
        SubElement(tune, "emulatorsched", scheduler="idle")


def _devices(devices: Element, record: Record, dialect: Dialect, parts: Parts) -> None:
    _disk(devices, dialect, "a", "qcow2", parts.disk)
    # The seed is a disk, too: no guest needs more than the one driver that it boots with.
    SubElement(_disk(devices, dialect, "b", "raw", parts.seed), "readonly")
    if dialect.forwards:
        SubElement(devices, "controller", type="usb", model="none")
        SubElement(devices, "memballoon", model="none")
        SubElement(SubElement(devices, "video"), "model", type="vga")
        _text(SubElement(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    else:
        card = SubElement(devices, "interface", type="network")
        SubElement(card, "mac", address=mac_of(record.owner, record.id).lower())
        SubElement(card, "source", network=NETWORK)


def _disk(devices: Element, dialect: Dialect, letter: str, form: str, path: Path) -> Element:
    disk = SubElement(devices, "disk", type="file", device="disk")
    SubElement(disk, "driver", name="qemu", type=form)
    SubElement(disk, "source", file=str(path))
    SubElement(disk, "target", dev=dialect.disk + letter, bus=dialect.bus)
    return disk


def _closed_network(domain: Element, record: Record) -> None:
    """User networking that leads nowhere; libvirt's own element for it cannot be closed."""
    card = f"virtio-net-pci,netdev={NETDEV},mac={mac_of(record.owner, record.id).lower()},romfile=,addr=0x10"
    line = SubElement(domain, f"{{{_QEMU}}}commandline")
    for word in ("-netdev", f"user,id={NETDEV},restrict=on,ipv6=off", "-device", card):
        SubElement(line, f"{{{_QEMU}}}arg", value=word)


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element
