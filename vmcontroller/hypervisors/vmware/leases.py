"""Where guests on VMware's host-only network are, as its DHCP server wrote down (dhcpd.leases(5))."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_PLACES = {
    "darwin": "/var/db/vmware/vmnet-dhcpd-vmnet1.leases",
    "win32": r"C:\ProgramData\VMware\vmnetdhcp.leases",
}
_LEASE = re.compile(r"^lease\s+([\d.]+)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)


def place() -> Path:
    """The file on this system."""
    return Path(_PLACES.get(sys.platform, "/etc/vmware/vmnet1/dhcpd/dhcpd.leases"))


def address(text: str, mac: str) -> str | None:
    """The IP address that was given to a card last, or None. A later lease stands below an earlier one."""
    wanted = f"hardware ethernet {mac.lower()};"
    found = [ip for ip, what in _LEASE.findall(text) if wanted in what.lower()]
    return found[-1] if found else None


def look_up(leases: Path, mac: str) -> str | None:
    """The same, from the file; None while there is none. Blocks."""
    try:
        return address(leases.read_text(encoding="utf-8", errors="replace"), mac)
    except FileNotFoundError:
        return None
