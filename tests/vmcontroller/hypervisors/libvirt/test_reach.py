"""The table of QEMU's user networking is read."""

from __future__ import annotations

from vmcontroller.hypervisors.libvirt.reach import forwards

TABLE = """Hub -1 (vmcontroller):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   17       10.0.2.15 61614       127.0.0.1 50000     0     0
  TCP[HOST_FORWARD]  15       127.0.0.1 40089       10.0.2.15  9094     0     0
  TCP[HOST_FORWARD]  14       127.0.0.1 38215       10.0.2.15 61614     0     0
"""


def test_forwards() -> None:
    """Only forwards count, whatever connections there are."""
    assert forwards(TABLE) == {9094: 40089, 61614: 38215}
    assert forwards("") == {}
