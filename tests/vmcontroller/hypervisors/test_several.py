"""Several hypervisors that act as one: who makes a machine, who is asked about it, and what happens when one fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from tests.vmcontroller.doubles import result
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.errors import (
    BadImage,
    EmulationRefused,
    HypervisorFailed,
    HypervisorMissing,
    UnknownHypervisor,
    UnknownVM,
    VMExists,
)
from vmcontroller.hypervisors.several import Choice, SeveralHypervisors
from vmcontroller.interfaces import IComposite, IHypervisor
from vmcontroller.machine import Machine, MachineSpec, MachineState

SPEC = MachineSpec(id="a", name="A", group="g")


class Pair:
    """``both`` is made of ``first`` and ``second``; ``kept`` is what the choice was told."""

    def __init__(self) -> None:
        self.first, self.second = MemoryHypervisor(), MemoryHypervisor()
        self.first.name, self.second.name = "first", "second"
        self.kept: list[set[str]] = []
        self.both = SeveralHypervisors("first,second", self.choose)

    async def choose(self) -> Choice:
        return Choice([self.first, self.second], keep=lambda names: self.kept.append(set(names)))

    def create(self, **changes: Any) -> None:
        result(self.both.createVM(replace(SPEC, **changes)))


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    result(pair.both.connect())
    return pair


def test_shape(pair: Pair) -> None:
    """It is a hypervisor, and can be asked for its members."""
    assert verifyObject(IHypervisor, pair.both)
    assert verifyObject(IComposite, pair.both)
    assert result(pair.both.version()).startswith("first ")


def test_first_that_takes_the_image(pair: Pair) -> None:
    """A refused image is offered to the next."""
    pair.create()
    pair.first.trouble["createVM"] = BadImage("no disk")
    pair.create(id="b", name="B")
    assert pair.both.member("a") is pair.first
    assert pair.both.member("b") is pair.second


def test_nobody_takes_the_image(pair: Pair) -> None:
    """All their words are told, the same ones once, and nothing is left."""
    pair.first.trouble["createVM"] = BadImage("no disk")
    pair.second.trouble["createVM"] = BadImage("no archive")
    with pytest.raises(BadImage, match="no disk; no archive"):
        pair.create()
    with pytest.raises(UnknownVM):
        pair.both.member("a")


def test_one_can_do_no_better_than_emulate(pair: Pair) -> None:
    """The next one may."""
    pair.first.trouble["createVM"] = EmulationRefused("no VT-x")
    pair.create()
    assert pair.both.member("a") is pair.second


def test_other_failures_are_told(pair: Pair) -> None:
    """Only an image is offered to the next one: what else went wrong would be hidden."""
    pair.first.trouble["createVM"] = HypervisorFailed("no room")
    with pytest.raises(HypervisorFailed):
        pair.create()
    assert pair.second.vms == {}


def test_asked_for_by_name(pair: Pair) -> None:
    """The spec may say who makes it; a name that nobody has is answered with those that there are."""
    pair.create(hypervisor="second")
    assert list(pair.second.vms) == ["a"]
    with pytest.raises(UnknownHypervisor, match="'third'; there are: first, second"):
        pair.create(id="b", name="B", hypervisor="third")


def test_names_are_unique_among_all(pair: Pair) -> None:
    """Two members could not know of each other's machines."""
    pair.create(hypervisor="second")
    with pytest.raises(VMExists):
        pair.create(id="b", hypervisor="first")


def test_found_again(pair: Pair) -> None:
    """connect() asks each member for its machines."""
    pair.second.vms["z"] = Machine("z", "Z", "g", MachineState.SAVED)
    result(pair.both.connect())
    assert pair.both.member("z") is pair.second
    result(pair.both.start("z"))
    assert pair.second.vms["z"].state is MachineState.RUNNING


def test_one_cannot_connect() -> None:
    """Then none is connected."""
    pair = Pair()
    pair.second.trouble["connect"] = HypervisorMissing("gone")
    with pytest.raises(HypervisorMissing):
        result(pair.both.connect())
    assert ("disconnect", False) in pair.first.log


def test_one_cannot_disconnect(pair: Pair) -> None:
    """The others do, and it is told."""
    pair.first.trouble["disconnect"] = HypervisorFailed("stuck")
    with pytest.raises(HypervisorFailed):
        result(pair.both.disconnect(True))
    assert ("disconnect", True) in pair.second.log


def test_keeps_who_has_machines(pair: Pair) -> None:
    """Before a machine is made its maker is noted, and forgotten when the last one was removed."""
    pair.create()
    pair.create(id="b", name="B", hypervisor="second")
    result(pair.both.removeVM("a"))
    assert pair.kept == [{"first"}, {"first", "second"}, {"second"}]
