"""Asks every plugin how well it would work, for a program that runs no reactor, such as ``vmcontroller doctor``."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

from vmcontroller.hypervisors.choice import Candidate, survey


def examine(state_dir: Path) -> list[Candidate]:
    """Every plugin, best first, each with its reason. Blocks for choice.PATIENCE seconds at most."""
    reactor = SelectReactor()  # One of our own: it ends with the answer, and whoever needs the process's can have it.
    outcome: list[list[Candidate] | Failure] = []

    def ask() -> None:
        asked = Deferred.fromCoroutine(survey(reactor, state_dir))
        asked.addBoth(outcome.append).addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(ask)
    reactor.run(installSignalHandlers=False)
    (found,) = outcome
    if isinstance(found, Failure):
        found.raiseException()
    return found
