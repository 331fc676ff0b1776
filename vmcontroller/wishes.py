"""What a caller may wish of a new VM, and what this computer's owner allows: from createVM's words to a MachineSpec."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from vmcontroller.errors import BadName, BadRequest, BadSize, NetworkDenied
from vmcontroller.machine import ID_PATTERN, NAME_PATTERN, MachineSpec

DEFAULT_GROUP = "default"
PATTERN_SIGNS = re.compile(r"[*?\[]")
_OPTIONS = {
    "group": str,
    "memoryMB": int,
    "cpus": int,
    "network": bool,
    "emulation": bool,
    "lease": str,
    "id": str,
    "hypervisor": str,
}


def spec_of(name: str, image: str, options: Mapping[str, Any], network_allowed: bool) -> MachineSpec:
    """The spec, without its seed. BadRequest names what is wrong; NetworkDenied: it wishes for a network."""
    _check_options(options)
    if not NAME_PATTERN.match(name) or PATTERN_SIGNS.search(name) or name != name.strip():
        raise BadName(f"createVM: {name!r} is no name for a VM; use 1 to 128 characters without / \\ * ? [")
    spec = MachineSpec(
        id=options.get("id") or _new_id(name),
        name=name,
        group=options.get("group") or DEFAULT_GROUP,
        image=image,
        memory_mb=options.get("memoryMB", 512),
        cpus=options.get("cpus", 1),
        network=options.get("network", False),
        hypervisor=options.get("hypervisor", ""),
        emulation=options.get("emulation", True),
    )
    _check(spec)
    if spec.network and not network_allowed:
        raise NetworkDenied(
            f"{name} asks for a network, and this computer gives VMs none; its owner can allow it with vms.network"
        )
    return spec


def _check_options(options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key not in _OPTIONS:
            raise BadRequest(f"createVM: {key!r} is no option; there are {', '.join(_OPTIONS)}")
        if not isinstance(value, _OPTIONS[key]) or (isinstance(value, bool) and _OPTIONS[key] is not bool):
            raise BadRequest(f"createVM: the option {key} must be {_OPTIONS[key].__name__}, not {value!r}")


def _check(spec: MachineSpec) -> None:
    for what in (spec.id, spec.group):
        if not ID_PATTERN.match(what):
            raise BadName(f"createVM: {what!r} must be 1 to 64 of the characters 0-9 a-z -")
    if not (1 <= spec.cpus <= 256 and 16 <= spec.memory_mb <= 16 * 1024 * 1024):
        raise BadSize("createVM: cpus must lie between 1 and 256, memoryMB between 16 and 16777216")


def _new_id(name: str) -> str:
    slug = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")[:40]
    return f"{slug or 'vm'}-{secrets.token_hex(4)}"
