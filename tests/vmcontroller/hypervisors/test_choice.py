"""The setting ``hypervisor``: a name, several names, or "auto"."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.folders import folder
from tests.vmcontroller.doubles import result
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.errors import HypervisorMissing, UnknownHypervisor
from vmcontroller.hypervisors import choice, load, loader
from vmcontroller.interfaces import IHypervisor, IMetrics, IProbe, Suitability
from vmcontroller.machine import Machine, MachineSpec, MachineState

FAST, SLOW = Suitability(True, True, "with VT-x"), Suitability(True, False, "emulated")
GONE, OPEN = Suitability(False, False, "not installed"), Suitability(True, True, "no walls", isolated=False)


@implementer(IHypervisor, IMetrics, IProbe)
class Probed(MemoryHypervisor):
    """Says what it was told to say."""

    def __init__(self, name: str, answer: Deferred[Suitability]) -> None:
        super().__init__()
        self.name = name
        self.answer = answer

    def probe(self) -> Deferred[Suitability]:
        return self.answer


class Shelf:
    """The plugins that there are. ``made`` holds those of the last survey by name."""

    def __init__(self) -> None:
        self.says: dict[str, Callable[[], Deferred[Suitability]] | None] = {}
        self.made: dict[str, MemoryHypervisor] = {}
        self.held: dict[str, dict[str, Machine]] = {}

    def put(self, **says: Suitability) -> None:
        self.says = {name: lambda answer=answer: succeed(answer) for name, answer in says.items()}

    def load(self, name: str) -> Any:
        def make(reactor: Any, state_dir: Path, owner: str) -> IHypervisor:
            say = self.says[name]
            made = Probed(name, say()) if say else MemoryHypervisor()
            made.vms = self.held.setdefault(name, {})
            return self.made.setdefault(name, made)

        self.made.pop(name, None)
        return make


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()
    monkeypatch.setattr(loader, "load", shelf.load)
    monkeypatch.setattr(loader, "names", lambda: sorted(shelf.says))
    return shelf


def auto(tmp_path: Path) -> Any:
    hypervisor = load("auto")(Clock(), tmp_path, "owner")
    result(hypervisor.connect())
    return hypervisor


def taken(tmp_path: Path) -> list[str]:
    return [one.name for one in auto(tmp_path).considered if one.chosen]


@pytest.mark.parametrize(
    ("says", "best"),
    [
        ({"qemu": FAST, "virtualbox": FAST}, "qemu"),
        ({"qemu": SLOW, "virtualbox": FAST}, "virtualbox"),
        ({"qemu": FAST, "virtualbox": GONE}, "qemu"),
        ({"qemu": SLOW, "libvirt": FAST}, "libvirt"),
        ({"qemu": SLOW, "process": OPEN}, "qemu"),
        ({"vmware": SLOW, "another": FAST}, "another"),
        ({"vmware": FAST, "another": FAST}, "vmware"),
    ],
)
def test_best(shelf: Shelf, tmp_path: Path, says: dict[str, Suitability], best: str) -> None:
    """What works goes first, then what is accelerated, then a fixed order."""
    shelf.put(**says)
    assert taken(tmp_path) == [best]


def test_never_without_walls(shelf: Shelf, tmp_path: Path) -> None:
    """What isolates nothing is never taken, and the sentence says why each was passed over."""
    shelf.put(process=OPEN, qemu=GONE)
    with pytest.raises(HypervisorMissing, match=r"qemu: not installed; process: no walls.*or name one"):
        auto(tmp_path)


def test_all_are_explained(shelf: Shelf, tmp_path: Path) -> None:
    """Best first, each with its reason; those that cannot say, break, fail or are not there are told so."""
    shelf.put(qemu=FAST, virtualbox=GONE)
    shelf.says |= {"mute": None, "odd": lambda: fail(ValueError("x")), "sorry": lambda: fail(HypervisorMissing("no"))}
    considered = {one.name: one.suitability.reason for one in auto(tmp_path).considered}
    assert list(considered) == ["qemu", "virtualbox", "mute", "odd", "sorry"]
    assert considered["sorry"] == "no"
    assert "IProbe" in considered["mute"]
    assert "ValueError" in considered["odd"]


def test_one_that_never_answers(shelf: Shelf, tmp_path: Path) -> None:
    """It counts as one that does not work."""
    clock = Clock()
    shelf.says = {"qemu": Deferred}
    asked = ensureDeferred(choice.survey(clock, tmp_path))
    clock.advance(choice.PATIENCE)
    (candidate,) = result(asked)
    assert "within 20 s" in candidate.suitability.reason


def test_one_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing is its reason."""
    monkeypatch.setattr(loader, "BUILT_IN", {})
    monkeypatch.setattr(loader, "entry_points", lambda group: [EntryPoint("needy", "no_such.module:make", group)])
    (candidate,) = result(ensureDeferred(choice.survey(Clock(), tmp_path)))
    assert candidate.hypervisor is None
    assert "no module no_such" in candidate.suitability.reason


def test_machines_are_never_hidden(shelf: Shelf, tmp_path: Path) -> None:
    """Who has machines stays in use when another one is best; who has none any more does not."""
    shelf.put(virtualbox=FAST)
    result(auto(tmp_path).createVM(MachineSpec("a", "A", "g")))
    shelf.put(qemu=FAST, virtualbox=FAST)
    hypervisor = auto(tmp_path)
    assert [one.name for one in hypervisor.considered if one.chosen] == ["qemu", "virtualbox"]
    assert hypervisor.member("a").name == "virtualbox"
    result(hypervisor.removeVM("a"))
    assert taken(tmp_path) == ["qemu"]


def test_whoever_has_machines_is_missed(shelf: Shelf, tmp_path: Path) -> None:
    """No VM is given up because its hypervisor does not work today."""
    shelf.put(qemu=FAST)
    result(auto(tmp_path).createVM(MachineSpec("a", "A", "g")))
    shelf.put(qemu=GONE, virtualbox=FAST)
    with pytest.raises(HypervisorMissing, match=r"qemu has VMs .* not installed; mend that, or remove .*hypervisors"):
        auto(tmp_path)


def test_one_name(shelf: Shelf, tmp_path: Path) -> None:
    """One name is that plugin itself."""
    shelf.put(qemu=FAST)
    assert isinstance(load("qemu")(Clock(), tmp_path, "owner"), MemoryHypervisor)


def test_side_by_side(shelf: Shelf, tmp_path: Path) -> None:
    """Several names are all in use, in their order."""
    shelf.put(qemu=FAST, process=OPEN)
    shelf.held["process"] = {"a": Machine("a", "A", "g", MachineState.SAVED)}
    hypervisor: Any = load("qemu, process")(Clock(), tmp_path, "owner")
    result(hypervisor.connect())
    assert hypervisor.name == "qemu,process"
    assert hypervisor.member("a").name == "process"
    result(hypervisor.createVM(MachineSpec("b", "B", "g")))
    assert hypervisor.member("b").name == "qemu"


@pytest.mark.parametrize("setting", ["qemu,qemu", "auto,qemu"])
def test_not_side_by_side(shelf: Shelf, setting: str) -> None:
    """Twice the same, and "auto" with others."""
    shelf.put(qemu=FAST)
    with pytest.raises(UnknownHypervisor, match="name each hypervisor once"):
        load(setting)


class TestSurvey(TestCase):
    """The real plugins, on this host."""

    async def test_looking_leaves_nothing(self) -> None:
        """Each is asked, says why in a sentence, and leaves no trace."""
        place = folder(self)
        place.mkdir()
        found = await choice.survey(reactor, place)
        self.assertEqual(sorted(one.name for one in found), loader.names())
        self.assertEqual([one.name for one in found if not one.suitability.reason], [])
        self.assertEqual(list(place.iterdir()), [])
