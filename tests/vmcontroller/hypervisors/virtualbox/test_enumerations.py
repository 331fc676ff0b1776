"""What the plugin takes from pyvbox's tables is right in every version; what is wrong there comes from elsewhere."""

from __future__ import annotations

import pytest
import virtualbox as pyvbox

from tests.vmcontroller.hypervisors.virtualbox.fake_vboxapi import TABLES
from vmcontroller.hypervisors.virtualbox.record import state_of
from vmcontroller.machine import MachineState

#: Marks of ranges, which are no states of their own.
RANGES = ("First", "Last")


@pytest.mark.parametrize("release", TABLES)
def test_pyvbox_counts_as_virtualbox_does(release: str) -> None:
    """Every enumeration but MachineState has the numbers that pyvbox has."""
    for name, labels in TABLES[release].items():
        if name != "MachineState":
            ours = {label: number for label, number, _ in getattr(pyvbox.library, name)._enums}
            assert {label: labels[label] for label in ours if label in labels} == {
                label: number for label, number in ours.items() if label in labels
            }


def test_pyvbox_miscounts_states() -> None:
    """In 7.0 and later pyvbox calls a running machine Paused: this is why states are not read through it."""
    number = TABLES["7.2.22"]["MachineState"]["Running"]
    assert str(pyvbox.library.MachineState(number)) == "Paused"


@pytest.mark.parametrize("release", TABLES)
def test_every_state_means_something(release: str) -> None:
    """Each of VirtualBox's states is one of ours, and none but Null is Unknown."""
    labels = [label for label in TABLES[release]["MachineState"] if not label.startswith(RANGES)]
    unknown = [label for label in labels if state_of(label, on=False) is MachineState.UNKNOWN]
    assert unknown == ["Null"]


def test_ends() -> None:
    """A machine that ended is Aborted if nobody asked for it, whatever VirtualBox calls it."""
    for label in ("PoweredOff", "Aborted"):
        assert state_of(label, on=True) is MachineState.ABORTED
        assert state_of(label, on=False) is MachineState.POWERED_OFF
    assert state_of("AbortedSaved", on=True) is MachineState.SAVED
