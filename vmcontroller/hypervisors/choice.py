"""Turns the setting ``hypervisor`` into a factory: one plugin, several side by side, or the best that works here.

Nothing here drives a machine, and nothing is looked at before it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller.errors import BrokenPlugin, HypervisorMissing, UnknownHypervisor, VMControllerError
from vmcontroller.hypervisors import loader
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.several import Choice, SeveralHypervisors
from vmcontroller.interfaces import Considered, IHypervisor, IProbe, Suitability

AUTO = "auto"
#: Who goes first among equals; plugins of others follow.
ORDER = ("qemu", "virtualbox", "libvirt", "vmware", "process")
#: Seconds that a plugin may take to say how well it works.
PATIENCE = 20.0

_log = Logger()


def load(setting: str) -> loader.Factory:
    """The factory for ``hypervisor`` in the configuration: a plugin's name, names with commas between, or "auto".

    Fails as loader.load does; what "auto" finds, and that it finds nothing, is said by connect().
    """
    if setting == AUTO:
        return _auto
    names = [name.strip() for name in setting.split(",")]
    return loader.load(names[0]) if len(names) == 1 else _side_by_side(names)


def _side_by_side(names: Sequence[str]) -> loader.Factory:
    if AUTO in names or len(set(names)) < len(names):
        raise UnknownHypervisor(f"{', '.join(names)} cannot stand side by side; name each hypervisor once, by its name")
    factories = [loader.load(name) for name in names]

    def make(reactor: Any, state_dir: Path, owner: str) -> IHypervisor:
        members = [factory(reactor, state_dir, owner) for factory in factories]

        async def choose() -> Choice:
            return Choice(members)

        return SeveralHypervisors(",".join(names), choose)

    return make


def _auto(reactor: Any, state_dir: Path, owner: str) -> IHypervisor:
    async def choose() -> Choice:
        return _best(await survey(reactor, state_dir, owner), _Holders(state_dir / "hypervisors.json"))

    return SeveralHypervisors(AUTO, choose)


# -- what there is


@dataclass(frozen=True)
class Candidate:
    """A plugin and what it says of itself; without ``hypervisor`` it could not even be loaded."""

    name: str
    suitability: Suitability
    hypervisor: IHypervisor | None = None


async def survey(reactor: IReactorTime, state_dir: Path, owner: str = "survey") -> list[Candidate]:
    """Every plugin, best first, asked how well it works here. Nothing is connected, and nothing fails."""
    found: list[Candidate] = await gatherResults(
        [Deferred.fromCoroutine(_examined(name, reactor, state_dir, owner)) for name in loader.names()]
    )
    return sorted(found, key=_rank)


async def _examined(name: str, reactor: IReactorTime, state_dir: Path, owner: str) -> Candidate:
    try:
        hypervisor = loader.load(name)(reactor, state_dir, owner)
    except (HypervisorMissing, BrokenPlugin) as error:
        return Candidate(name, _useless(str(error)))
    return Candidate(name, await _asked(hypervisor, reactor), hypervisor)


async def _asked(hypervisor: IHypervisor, reactor: IReactorTime) -> Suitability:
    if not IProbe.providedBy(hypervisor):
        return _useless("it cannot say whether it works here (it provides no IProbe); name it to use it")
    try:
        answer: Suitability = await IProbe(hypervisor).probe().addTimeout(PATIENCE, reactor)
    except TimeoutError:
        return _useless(f"it did not say within {PATIENCE:g} s whether it works")
    except VMControllerError as error:
        return _useless(str(error))
    except Exception as error:
        _log.failure("asking {name} whether it works", name=hypervisor.name)
        return _useless(f"it broke when it was asked: {error!r}; mend the plugin")
    return answer


def _useless(reason: str) -> Suitability:
    return Suitability(works=False, accelerated=False, reason=reason)


def _rank(candidate: Candidate) -> tuple[bool, bool, bool, int, str]:
    known = candidate.suitability
    place = ORDER.index(candidate.name) if candidate.name in ORDER else len(ORDER)
    return not known.isolated, not known.works, not known.accelerated, place, candidate.name


# -- what is taken


def _best(candidates: Sequence[Candidate], holders: _Holders) -> Choice:
    """The best of them, and those that have machines already: what is best today must not hide them."""
    usable = [one for one in candidates if one.suitability.works and one.suitability.isolated]
    if not usable:
        raise HypervisorMissing(_why_none(candidates))
    taken = [one for one in candidates if one is usable[0] or one.name in holders.names()]
    for one in taken:
        if one.hypervisor is None or not one.suitability.works:
            raise HypervisorMissing(holders.complaint(one))
    considered = tuple(Considered(one.name, one.suitability, one in taken) for one in candidates)
    _tell(considered)
    return Choice([one.hypervisor for one in taken if one.hypervisor], considered, holders.note)


def _tell(considered: Sequence[Considered]) -> None:
    for one in considered:
        what = "taken" if one.chosen else "passed over"
        _log.info("hypervisor {name} is {what}: {reason}", name=one.name, what=what, reason=one.suitability.reason)


def _why_none(candidates: Sequence[Candidate]) -> str:
    reasons = "; ".join(f"{one.name}: {one.suitability.reason}" for one in candidates)
    return (
        f'hypervisor = "auto" finds none that works here and isolates its machines ({reasons});'
        " install one that does, or name one to use it as it is"
    )


@dataclass(frozen=True)
class _Holders:
    """The file that says which hypervisors have machines of this state directory."""

    path: Path

    def names(self) -> list[str]:
        try:
            return list(map(str, json.loads(self.path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            return []

    def note(self, names: frozenset[str]) -> None:
        try:
            files.write(self.path, json.dumps(sorted(names)) + "\n")
        except OSError as error:
            raise files.explain(error) from error

    def complaint(self, one: Candidate) -> str:
        return (
            f"{one.name} has VMs of this state directory, and does not work: {one.suitability.reason};"
            f" mend that, or remove {self.path} to go on without them"
        )
