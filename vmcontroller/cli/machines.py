"""The verbs that make, move and remove VMs. Each takes several names, and patterns such as ``worker-*``.

What fails for one VM is told and does not keep the others from it.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from vmcontroller.cli import codes, creation
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Deed, Verbs, seconds
from vmcontroller.cli.wording import in_verbs
from vmcontroller.client import ApiFault, Client
from vmcontroller.errors import BadState, GuestSilent, UnknownVM

#: Those of createVM that are arguments here.
OPTIONS = ("memoryMB", "cpus", "network", "group", "hypervisor")
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.1


def declare(verbs: Verbs) -> None:
    """The eight verbs."""
    _declare_create(verbs.add("create", create, "make VMs; start runs them"))
    start = verbs.add("start", start_machines, "run VMs and wait until their agents answer")
    _declare_wait(start, "seconds that an agent may take to answer; 0 does not wait")
    stop = verbs.add("stop", stop_machines, "shut VMs down and wait until they are off")
    _declare_wait(stop, "seconds that a shutdown may take; 0 does not wait")
    how = stop.add_mutually_exclusive_group()
    how.add_argument("--hard", action="store_true", help="cut the power")
    how.add_argument("--save", action="store_true", help="save the state, for a later start")
    for parser in (
        start,
        stop,
        verbs.add("pause", _doing("pause"), "freeze running VMs"),
        verbs.add("resume", _doing("resume"), "let paused VMs go on"),
        verbs.add("save", _doing("saveState"), "put VMs away, for a later start"),
        verbs.add("rm", _doing("removeVM"), "stop VMs and remove all that belongs to them"),
    ):
        parser.add_argument("names", metavar="VM", nargs="+", help="name, id or pattern")


def _declare_create(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+")
    parser.add_argument("--image", default="", help="name in the store, or path; absent: the hypervisor's own")
    parser.add_argument("--memory", metavar="MB", dest="memoryMB", type=int, help="memory in MB")
    parser.add_argument("--cpus", metavar="N", type=int, help="number of processors")
    parser.add_argument("--network", action="store_true", default=None, help="let it reach the network")
    parser.add_argument("--group", help="the group that a broadcast reaches")
    parser.add_argument("--hypervisor", metavar="NAME", help="the one that makes it, where several are in use")


def _declare_wait(parser: ArgumentParser, meaning: str) -> None:
    parser.add_argument("--wait", metavar="S", type=seconds, default=WAIT_SECONDS, help=f"{meaning} (60)")


def create(session: Session) -> int:
    """Make VMs that are off."""
    arguments = vars(session.arguments)
    options = {key: arguments[key] for key in OPTIONS if arguments[key] is not None}
    with session.api() as api:
        names = session.arguments.names
        made = _each(session, names, lambda vm: _create(session, api, vm, options))
        return _report(session, api, names, made)


def _create(session: Session, api: Client, vm: str, options: dict[str, object]) -> None:
    with creation.shown(session, api, vm):
        api.call("createVM", vm, session.arguments.image, options)


def start_machines(session: Session) -> int:
    """Start all of them, then wait for all of them."""
    with session.api() as api:
        names = matching(api, session.arguments.names)
        started = _each(session, names, lambda vm: api.call("start", vm))
        deadline = time.monotonic() + session.arguments.wait
        answering = _each(session, started, lambda vm: _await_agent(api, vm, deadline))
        return _report(session, api, names, answering)


def _await_agent(api: Client, vm: str, deadline: float) -> None:
    patience = deadline - time.monotonic()
    if patience > 0 and not api.call("waitForVM", vm, patience):
        raise GuestSilent(f"{vm} was started, but its agent has not answered; vmcontroller doctor looks closer")


def stop_machines(session: Session) -> int:
    """Shut down and wait; --hard and --save are done at once."""
    method = "powerOff" if session.arguments.hard else "saveState" if session.arguments.save else "shutdown"
    with session.api() as api:
        names = matching(api, session.arguments.names)
        stopped = _each(session, names, lambda vm: api.call(method, vm))
        if method == "shutdown" and session.arguments.wait > 0:
            deadline = time.monotonic() + session.arguments.wait
            stopped = _each(session, stopped, lambda vm: _await_off(api, vm, deadline))
        return _report(session, api, names, stopped)


def _await_off(api: Client, vm: str, deadline: float) -> None:
    while (state := api.call("getState", vm)) in ("Running", "Stopping"):
        if time.monotonic() > deadline:
            raise BadState(f"{vm} is still {state}; vmcontroller stop --hard {vm} cuts the power")
        time.sleep(LOOK_SECONDS)


def _doing(method: str) -> Deed:
    """The verb that calls one method for each VM."""

    def deed(session: Session) -> int:
        with session.api() as api:
            names = matching(api, session.arguments.names)
            done = _each(session, names, lambda vm: api.call(method, vm))
            return _report(session, api, names, done)

    return deed


def matching(api: Client, names: Sequence[str]) -> list[str]:
    """The names with every pattern replaced by the VMs that it matches; an exact name or id wins. UnknownVM."""
    ids = api.call("getNamesToIdsMapping")
    known = {*ids, *ids.values()}
    return list(dict.fromkeys(vm for name in names for vm in _matching(name, known, sorted(ids))))


def _matching(name: str, known: set[str], names: Sequence[str]) -> Sequence[str]:
    if name in known or not any(sign in name for sign in "*?["):
        return [name]
    found = [vm for vm in names if fnmatchcase(vm, name)]
    if not found:
        raise UnknownVM(f"no VM matches {name}; vmcontroller list shows them")
    return found


def _each(session: Session, names: Sequence[str], act: Callable[[str], object]) -> list[str]:
    """Those for which it went well; of the others it is said why not."""
    done = []
    for vm in names:
        try:
            act(vm)
            done.append(vm)
        except (ApiFault, BadState, GuestSilent) as error:
            session.say(in_verbs(str(error)))
    return done


def _report(session: Session, api: Client, asked: Sequence[str], done: Sequence[str]) -> int:
    states = {vm: _state(api, vm) for vm in done}
    session.show(states, "\n".join(f"{vm}: {state}" for vm, state in states.items()))
    return codes.DONE if len(done) == len(asked) else codes.FAILED


def _state(api: Client, vm: str) -> str:
    try:
        return str(api.call("getState", vm))
    except ApiFault as fault:
        if fault.code == UnknownVM.code:
            return "removed"
        raise
