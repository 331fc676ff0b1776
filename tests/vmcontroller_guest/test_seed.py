"""Where a guest's identity comes from."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from vmcontroller.errors import BadConfiguration
from vmcontroller_guest import identity
from vmcontroller_guest.config import Settings
from vmcontroller_guest.seed import Seed, find_seed, read_seed
from vmcontroller_guest.service import who_am_i

VALUES = {"id": "vm-1", "name": "VM 1.2.3", "group": "default", "daemon": "d1", "secret": "s"}
SECTOR = 2048


def both(number: int) -> bytes:
    """ECMA-119 7.3.3: little-endian, then big-endian."""
    return struct.pack("<I", number) + struct.pack(">I", number)


def record(name: bytes, sector: int, length: int) -> bytes:
    """A directory record (ECMA-119 9.1)."""
    body = b"\0" + both(sector) + both(length) + bytes(7) + b"\0\0\0" + bytes(4) + bytes([len(name)]) + name
    body += b"\0" * (len(body) % 2 == 0)
    return bytes([len(body) + 1]) + body


def image(files: dict[bytes, bytes], label: bytes = b"VMCSEED") -> bytes:
    """A small ISO 9660 image: 16 empty sectors, the volume descriptor, the root directory, one sector per file."""
    names = list(files)
    records = [record(b"\0", 18, SECTOR), record(b"\1", 18, SECTOR)]
    records += [record(name, 19 + names.index(name), len(files[name])) for name in names]
    root = b"".join(records).ljust(SECTOR, b"\0")
    head = b"\x01CD001\x01\0" + b"LINUX".ljust(32) + label.ljust(32)
    descriptor = head.ljust(156, b"\0") + record(b"\0", 18, SECTOR).ljust(34, b"\0")
    sectors = [bytes(16 * SECTOR), descriptor.ljust(SECTOR, b"\0"), b"\xffCD001\x01".ljust(SECTOR, b"\0"), root]
    return b"".join(sectors + [content.ljust(SECTOR, b"\0") for content in files.values()])


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "seed"
    path.write_bytes(content)
    return path


def test_a_seed_file(tmp_path: Path) -> None:
    """All that it may say."""
    more = {"chirpKey": "PEM", "beaconInterval": 2.5, "broker": "tcp://[::1]:61613", "setClock": True}
    seed = read_seed(written(tmp_path, json.dumps(VALUES | more).encode()))
    assert seed == Seed("vm-1", "default", "d1", "s", "VM 1.2.3", "PEM", 2.5, ("::1", 61613), True)
    assert "'s'" not in repr(seed)
    assert "PEM" not in repr(seed)


def test_a_seed_image(tmp_path: Path) -> None:
    """The file SEED.JSON in the root directory of an ISO image labelled VMCSEED."""
    content = image({b"README.TXT;1": b"hello", b"SEED.JSON;1": json.dumps(VALUES).encode()})
    assert read_seed(written(tmp_path, content)).id == "vm-1"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (image({b"SEED.JSON;1": b"{}"}, label=b"OTHER"), "labelled VMCSEED"),
        (image({b"OTHER.TXT;1": b"{}"}), "holds no SEED.JSON"),
        (b"not JSON", "no seed can be read"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "no seed can be read"),
    ],
)
def test_what_is_no_seed(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(BadConfiguration, match=why):
        read_seed(written(tmp_path, content))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": "VM 1"}, "id is 'VM 1'"),
        ({"group": "a.b"}, "group is 'a.b'"),
        ({"daemon": None}, "daemon is missing"),
        ({"secret": 5}, "secret is missing or is no str"),
        ({"broker": "localhost"}, "broker is 'localhost'"),
        ({"broker": "tcp://h:99999"}, "broker is"),
        ({"beaconInterval": 0}, "beaconInterval is 0"),
        ({"beaconInterval": True}, "beaconInterval is True"),
        ({"setClock": "yes"}, "setClock is missing or is no bool"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadConfiguration, match=why):
        read_seed(written(tmp_path, json.dumps(VALUES | changes).encode()))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="nothing"):
        read_seed(tmp_path / "nothing")


def test_the_attached_seed_is_found(tmp_path: Path) -> None:
    """By the link that udev makes, or by looking at each drive."""
    assert find_seed(tmp_path) is None
    (tmp_path / "sda").write_bytes(image({}, label=b"ROOT"))
    (tmp_path / "sr0").write_bytes(image({}))
    assert find_seed(tmp_path) == tmp_path / "sr0"
    (tmp_path / "disk/by-label").mkdir(parents=True)
    (tmp_path / "disk/by-label/VMCSEED").write_bytes(b"")
    assert find_seed(tmp_path) == tmp_path / "disk/by-label/VMCSEED"


class Network:
    """netifaces on a machine with two cards."""

    AF_INET, AF_LINK = 2, 17

    def __init__(self, routed: bool = True) -> None:
        self._routes = {"default": {2: ("192.168.56.1", "eth1")}} if routed else {}

    def interfaces(self) -> list[str]:
        return ["lo", "eth0", "eth1"]

    def ifaddresses(self, name: str) -> dict[int, list[dict[str, str]]]:
        cards = {
            "lo": {2: [{"addr": "127.0.0.1"}]},
            "eth0": {17: [{"addr": "08:00:27:AA:BB:CC"}], 2: [{"addr": "10.0.2.15"}]},
            "eth1": {17: [{"addr": "08:00:27:dd:ee:ff"}], 2: [{"addr": "192.168.56.101"}]},
        }
        if name not in cards:
            raise ValueError("You must specify a valid interface name.")
        return cards[name]

    def gateways(self) -> dict[str, Any]:
        return self._routes


def test_without_a_seed_the_card_tells_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that leads to the gateway, or the configured one; the broker is at the gateway, as in 2009."""
    monkeypatch.setattr(identity, "_netifaces", Network)
    monkeypatch.setattr("vmcontroller_guest.service.find_seed", lambda: None)
    seed = who_am_i(Settings(group="g", daemon="d"))
    assert (seed.id, seed.secret, seed.broker) == ("08-00-27-dd-ee-ff", "", ("192.168.56.1", 61613))
    seed = who_am_i(Settings(interface="eth0", broker="tcp://broker:61614"))
    assert (seed.id, seed.broker) == ("08-00-27-aa-bb-cc", ("broker", 61614))
    with pytest.raises(BadConfiguration, match="eth7"):
        who_am_i(Settings(interface="eth7", broker="tcp://broker:61614"))
    assert identity.addresses() == ("10.0.2.15", "192.168.56.101")


def test_without_seed_and_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_netifaces", lambda: Network(routed=False))
    monkeypatch.setattr("vmcontroller_guest.service.find_seed", lambda: None)
    with pytest.raises(BadConfiguration, match="neither a seed nor a default gateway"):
        who_am_i(Settings())


def test_netifaces_itself() -> None:
    """The module that is installed has what is asked of it."""
    assert all(address.count(".") == 3 for address in identity.addresses())
