"""The file that describes a machine to VMware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.harness import ODD_NAMES
from vmcontroller.hypervisors.common.driven import Record
from vmcontroller.hypervisors.vmware import vmx

RECORD = Record("owner", "vm-1", "VM 1", "g", "", memory_mb=65, cpus=3, network=False)


@pytest.mark.parametrize("name", [*ODD_NAMES, 'a|22"b', "# no comment = none"])
def test_names(name: str, tmp_path: Path) -> None:
    """Any name comes back as it was, and stands on one line."""
    path = tmp_path / "machine.vmx"
    settings = vmx.settings(replace(RECORD, name=name))
    vmx.write(path, settings)
    assert vmx.read(path) == settings
    assert len(path.read_text().splitlines()) == len(settings)


def test_what_vmware_writes(tmp_path: Path) -> None:
    """Its own lines are read, whatever their spaces; comments and blank lines are none."""
    path = tmp_path / "machine.vmx"
    path.write_text(
        '#!/usr/bin/vmware\n\ncheckpoint.vmState = "a.vmss"\nempty=""\n  spaced  =  "x y"  \nbroken = "no end\n'
    )
    assert vmx.read(path) == {"checkpoint.vmState": "a.vmss", "empty": "", "spaced": "x y"}


def test_settings() -> None:
    """Owner's mark, size in VMware's steps, one disk, the seed, and the host-only network alone."""
    settings = vmx.settings(RECORD)
    assert (settings["vmcontroller.owner"], settings["vmcontroller.id"]) == ("owner", "vm-1")
    assert (settings["memsize"], settings["numvcpus"]) == ("64", "3")
    assert [settings[f"{place}.fileName"] for place in ("ide0:0", "ide1:0")] == ["disk.vmdk", "seed.iso"]
    cards = {key: value for key, value in settings.items() if key.startswith("ethernet")}
    assert cards["ethernet0.connectionType"] == "hostonly"
    assert not [key for key in cards if not key.startswith("ethernet0.")]


def test_address() -> None:
    """In the range that VMware accepts; the same machine always has the same."""
    found = {vmx.mac_of("owner", f"vm-{number}") for number in range(200)}
    assert len(found) == 200
    assert all(mac.startswith("00:50:56:") and int(mac[9:11], 16) <= 0x3F for mac in found)
    assert vmx.mac_of("a", "b") == vmx.mac_of("a", "b")
