"""``cp``: files and whole directories into a VM and out of it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vmcontroller.cli.drawing import progress_line
from vmcontroller.cli.interrupts import interruptible
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import UsageError, Verbs
from vmcontroller.client import ApiFault, Client

#: Seconds between two looks, where somebody watches and where nobody does.
WATCHED_SECONDS = 0.2
UNWATCHED_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """A path on this host (``vm`` is "") or in a VM."""

    vm: str
    path: str

    @classmethod
    def of(cls, word: str) -> Place:
        """``VM:path``, or a path here. A name with a colon in it is written as ./name, a drive letter is no VM."""
        vm, colon, path = word.partition(":")
        here = not colon or not vm or "/" in vm or (os.name == "nt" and len(vm) == 1)
        return cls("", word) if here else cls(vm, path)

    @property
    def name(self) -> str:
        """The last part of the path; a VM's whole directory is named after the VM."""
        if self.vm:
            return posixpath.basename(self.path.rstrip("/")) or self.vm
        return os.path.basename(os.path.abspath(self.path))


def declare(verbs: Verbs) -> None:
    """The verb."""
    parser = verbs.add("cp", copy, "copy files and directories; VM:path names one in a VM")
    parser.usage = "vmcontroller cp [OPTIONS] SOURCE [SOURCE ...] DESTINATION"
    parser.add_argument("places", metavar="PLACE", nargs="+", help="VM:path on one side, a path here on the other")


def copy(session: Session) -> None:
    """Copy each source in turn. ApiFault of the first that fails; Ctrl-C cancels the one under way."""
    *sources, destination = map(Place.of, session.arguments.places)
    _check(sources, destination)
    with session.api() as api, interruptible():
        into = len(sources) > 1 or _is_directory(api, destination)
        results = [_move(session, api, source, _target(source, destination, into)) for source in sources]
    session.show(results if len(results) > 1 else results[0], "")


def _check(sources: Sequence[Place], destination: Place) -> None:
    if not sources:
        raise UsageError("a destination is missing; write it as: vmcontroller cp SOURCE DESTINATION")
    for source in sources:
        if bool(source.vm) == bool(destination.vm):
            which = "both sides are in a VM; copy it here first" if source.vm else "no side is in a VM"
            raise UsageError(f"{which}; write the one in the VM as VM:path")


def _is_directory(api: Client, place: Place) -> bool:
    if not place.vm:
        return place.path.endswith(("/", os.sep)) or os.path.isdir(place.path)
    if place.path in ("", ".") or place.path.endswith("/"):
        return True
    try:
        api.call("listFiles", place.vm, place.path)
        return True
    except ApiFault:
        return False


def _target(source: Place, destination: Place, into: bool) -> Place:
    if not into:
        return destination
    join = posixpath.join if destination.vm else os.path.join
    return Place(destination.vm, join(destination.path, source.name))


def _move(session: Session, api: Client, source: Place, target: Place) -> dict[str, Any]:
    transfer = _start(api, source, target)
    try:
        result = _watch(session, api, transfer)
    except KeyboardInterrupt:
        api.call("cancelTransfer", transfer)
        session.say(f"the copy of {source.name} was cancelled; what is at its destination is as it was, or whole")
        raise
    if result["state"] != "done":
        raise ApiFault(int(result["faultCode"] or 1), str(result["error"] or f"the transfer was {result['state']}"))
    return result


def _start(api: Client, source: Place, target: Place) -> str:
    if target.vm:
        return str(api.call("startTransfer", "put", target.vm, os.path.abspath(source.path), target.path))
    return str(api.call("startTransfer", "get", source.vm, source.path, os.path.abspath(target.path)))


def _watch(session: Session, api: Client, transfer: str) -> dict[str, Any]:
    """The final struct; meanwhile, on a terminal, a line that shows how far it is."""
    with progress_line(session) as draw:
        while True:
            seen: dict[str, Any] = api.call("waitForTransfer", transfer, WATCHED_SECONDS if draw else UNWATCHED_SECONDS)
            if draw:
                draw(seen["current"], seen["done"], seen["total"])
            if seen["state"] != "running":
                return seen
