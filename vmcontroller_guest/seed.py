"""The seed: what a VM is told about itself when it is made (docs/reference/seed.md).

It is a JSON file, or such a file on a small ISO image that the hypervisor attaches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmcontroller.errors import BadConfiguration
from vmcontroller_guest import iso

#: The ISO image's volume label, and the file on it.
LABEL = "VMCSEED"
FILE = "SEED.JSON"

_NAME = re.compile(r"[0-9a-z-]{1,64}\Z")
_BROKER = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):(?P<port>[0-9]{1,5})\Z")


@dataclass(frozen=True)
class Seed:
    """Who the VM is and whom it trusts. ``beacon_interval`` is in seconds; ``broker`` is None or host and port."""

    id: str
    group: str
    daemon: str
    secret: str = field(repr=False)
    name: str = ""
    chirp_key: str = field(default="", repr=False)
    beacon_interval: float = 10.0
    broker: tuple[str, int] | None = None
    set_clock: bool = False


def read_seed(path: Path) -> Seed:
    """The seed in a file, or on an image or a device. BadConfiguration."""
    try:
        text = iso.read_file(path, LABEL, FILE) if iso.is_image(path) else path.read_bytes()
        values = json.loads(text)
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{path}: no seed can be read from it: {error}") from None
    return _seed(values, str(path))


def find_seed(devices: Path = Path("/dev")) -> Path | None:
    """The attached device that holds a seed, or None."""
    labelled = devices / "disk/by-label" / LABEL
    if labelled.exists():
        return labelled
    candidates = sorted(path for pattern in ("sr*", "vd?", "sd?", "xvd?") for path in devices.glob(pattern))
    return next((path for path in candidates if iso.label(path) == LABEL), None)


def _seed(values: Any, where: str) -> Seed:
    if not isinstance(values, dict):
        raise BadConfiguration(f"{where}: the seed is not a JSON object")
    take = _Taker(values, where)
    return Seed(
        id=take.name("id"),
        group=take.name("group"),
        daemon=take.name("daemon"),
        secret=take.value("secret", str),
        name=take.value("name", str, ""),
        chirp_key=take.value("chirpKey", str, ""),
        beacon_interval=take.interval("beaconInterval"),
        broker=take.broker("broker"),
        set_clock=take.value("setClock", bool, False),
    )


@dataclass(frozen=True)
class _Taker:
    """Takes checked values out of a seed."""

    values: Mapping[str, Any]
    where: str

    def value(self, key: str, kind: type, default: Any = None) -> Any:
        found = self.values.get(key, default)
        if not isinstance(found, kind):
            raise BadConfiguration(f"{self.where}: {key} is missing or is no {kind.__name__}")
        return found

    def name(self, key: str) -> str:
        found = str(self.value(key, str))
        if not _NAME.match(found):
            raise BadConfiguration(f"{self.where}: {key} is {found!r}; it must be 1 to 64 of 0-9 a-z -")
        return found

    def interval(self, key: str) -> float:
        found = self.values.get(key, 10.0)
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0.01 <= found <= 86400:
            raise BadConfiguration(f"{self.where}: {key} is {found!r}; it must be seconds, from 0.01 to 86400")
        return float(found)

    def broker(self, key: str) -> tuple[str, int] | None:
        found = self.value(key, str, "")
        return parse_broker(found, f"{self.where}: {key}") if found else None


def parse_broker(url: str, where: str) -> tuple[str, int]:
    """Host and port of ``tcp://HOST:PORT``. BadConfiguration."""
    match = _BROKER.match(url)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise BadConfiguration(f'{where} is {url!r}; it must be "tcp://HOST:PORT"')
    return match["host"].strip("[]"), int(match["port"])
