"""What a caller may wish of a new VM."""

from __future__ import annotations

import pytest

from vmcontroller.errors import NetworkDenied
from vmcontroller.wishes import spec_of


def test_emulation_is_permitted_unless_it_is_not() -> None:
    """Who says nothing takes what there is."""
    assert spec_of("a", "", {}, network_allowed=False).emulation
    assert not spec_of("a", "", {"emulation": False}, network_allowed=False).emulation


def test_a_network_needs_two() -> None:
    """The caller's wish and the owner's consent; the sentence names the setting."""
    assert spec_of("a", "", {"network": True}, network_allowed=True).network
    assert not spec_of("a", "", {}, network_allowed=True).network
    with pytest.raises(NetworkDenied, match=r"vms\.network"):
        spec_of("a", "", {"network": True}, network_allowed=False)
