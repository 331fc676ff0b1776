"""Plugins are found by name, imported only then, and checked before they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from vmcontroller.errors import BrokenPlugin, HypervisorMissing, UnknownHypervisor
from vmcontroller.hypervisors import load, loader
from vmcontroller.hypervisors.process import create
from vmcontroller.interfaces import IHypervisor, IScreenshot

NOT_A_FACTORY = 7


class Undeclared:
    """Does everything, but does not say so."""

    def __init__(self, *arguments: Any) -> None:
        self.whole = create(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


@implementer(IHypervisor)
class Whole(Undeclared):
    """As it should be."""


@implementer(IHypervisor)
class Lame(Undeclared):
    """Lacks one method, and one takes too little."""

    def __getattr__(self, name: str) -> Any:
        if name == "pause":
            raise AttributeError(name)
        return super().__getattr__(name)

    def takeSnapshot(self, vm: str) -> None:
        """Neither name nor description."""


@implementer(IScreenshot)
class Boaster(Whole):
    """Claims what it has not."""

    def __getattr__(self, name: str) -> Any:
        if name == "screenshot":
            raise AttributeError(name)
        return super().__getattr__(name)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Entry points by name, as if distributions had brought them."""
    found: dict[str, str] = {}

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, place, group) for name, place in found.items()]

    monkeypatch.setattr(loader, "entry_points", entry_points)
    return found


def make(name: str, tmp_path: Path) -> Any:
    return load(name)(Clock(), tmp_path, "owner")


def test_built_in(tmp_path: Path) -> None:
    """The process hypervisor is there without any installation."""
    assert make("process", tmp_path).name == "process"


def test_entry_point(installed: dict[str, str], tmp_path: Path) -> None:
    """A distribution adds a plugin through the entry-point group vmcontroller.hypervisors."""
    installed["mine"] = f"{__name__}:Whole"
    assert isinstance(make("mine", tmp_path), Whole)


def test_built_in_wins(installed: dict[str, str], tmp_path: Path) -> None:
    """No distribution takes the place of a built-in plugin."""
    installed["process"] = f"{__name__}:Whole"
    assert not isinstance(make("process", tmp_path), Whole)


def test_nothing_happens_before_connect(tmp_path: Path) -> None:
    """Loading and making a plugin touches no file."""
    make("process", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unchosen_plugins_are_not_imported() -> None:
    """The loader imports no plugin but the one that is asked for."""
    script = "import sys, vmcontroller.hypervisors; sys.exit('vmcontroller.hypervisors.process' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_unknown(installed: dict[str, str]) -> None:
    """An unknown name is answered with the names that there are, installed ones too."""
    installed["mine"] = f"{__name__}:Whole"
    with pytest.raises(UnknownHypervisor, match=r"no hypervisor is called 'vmwear'; there are: .*mine, process"):
        load("vmwear")


def test_missing_dependency(installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that the plugin needs is named, so that it can be installed."""
    (tmp_path / "needy.py").write_text("import a_module_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    installed["needy"] = "needy:make"
    with pytest.raises(HypervisorMissing, match=r"'needy' needs the Python module a_module_that_nobody_has.*install"):
        load("needy")


def test_missing_library(installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a shared library that a module needs."""
    (tmp_path / "unlinked.py").write_text("raise ImportError('libvirt.so.0: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    installed["unlinked"] = "unlinked:make"
    with pytest.raises(HypervisorMissing, match=r"libvirt\.so\.0"):
        load("unlinked")


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("no_such_package.plugin:make", "there is no module no_such_package"),
        (f"{__name__}:nothing", "nothing"),
        (f"{__name__}:NOT_A_FACTORY", "is not a factory"),
        ("tests.vmcontroller.hypervisors.no_such_module:make", "there is no module tests.vmcontroller"),
    ],
)
def test_broken_entry(installed: dict[str, str], place: str, fault: str) -> None:
    """An entry point that leads nowhere is told apart from a missing dependency."""
    installed["broken"] = place
    with pytest.raises(BrokenPlugin, match=fault):
        load("broken")


def test_broken_module(installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that breaks while it is imported is answered with what it said."""
    (tmp_path / "exploding.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    installed["exploding"] = "exploding:make"
    with pytest.raises(BrokenPlugin, match="division by zero"):
        load("exploding")


@pytest.mark.parametrize(
    ("plugin", "fault"),
    [
        ("Lame", r"is no IHypervisor: .*it lacks pause"),
        ("Lame", r"its takeSnapshot doesn't allow enough arguments"),
        ("Undeclared", r"it does not declare it with @implementer"),
        ("Boaster", r"is no IScreenshot: it lacks screenshot"),
    ],
)
def test_wrong_shape(installed: dict[str, str], tmp_path: Path, plugin: str, fault: str) -> None:
    """What the factory made is checked; the method that is missing or wrong is named."""
    installed["plugin"] = f"{__name__}:{plugin}"
    with pytest.raises(BrokenPlugin, match=fault):
        make("plugin", tmp_path)
