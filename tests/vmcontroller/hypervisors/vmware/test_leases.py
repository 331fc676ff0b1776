"""Where a guest is, as VMware's DHCP server wrote down."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vmcontroller.hypervisors.vmware.leases import address, look_up, place

TEXT = """# All times in this file are in UTC (GMT), not your local timezone.
lease 172.16.7.128 {
\tstarts 4 2026/11/19 10:00:00;
\tends 4 2026/11/19 10:30:00;
\thardware ethernet 00:50:56:01:02:03;
\tclient-hostname "vm";
}
lease 172.16.7.129 {
\thardware ethernet 00:50:56:0a:0b:0c;
}
lease 172.16.7.130 {
\thardware ethernet 00:50:56:01:02:03;
\tuid 01:00:50:56:01:02:03;
}
"""


def test_address() -> None:
    """The last lease of a card counts; case does not."""
    assert address(TEXT, "00:50:56:01:02:03") == "172.16.7.130"
    assert address(TEXT, "00:50:56:0A:0B:0C") == "172.16.7.129"
    assert address(TEXT, "00:50:56:00:00:00") is None
    assert address("", "00:50:56:00:00:00") is None


def test_no_file_yet(tmp_path: Path) -> None:
    """Before the first guest there is none."""
    assert look_up(tmp_path / "leases", "00:50:56:01:02:03") is None
    (tmp_path / "leases").write_text(TEXT)
    assert look_up(tmp_path / "leases", "00:50:56:01:02:03") == "172.16.7.130"


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_place(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each system has its own."""
    monkeypatch.setattr(sys, "platform", system)
    assert "lease" in str(place())
