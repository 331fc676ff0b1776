"""``run`` and ``output``: a command in one VM or in many, as if it ran here."""

from __future__ import annotations

import queue
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vmcontroller.cli import codes
from vmcontroller.cli.following import SIGKILL, Events, Following, ended_is_fine, forwarding
from vmcontroller.cli.outcomes import Part, exit_code, may_come_back, told, trouble
from vmcontroller.cli.patience import Patience
from vmcontroller.cli.session import Session
from vmcontroller.cli.sinks import Descriptor, Kept, Labelled, Sink
from vmcontroller.cli.verbs import UsageError, Verbs, assignment, seconds
from vmcontroller.client import Client, ConnectionLost

#: Seconds that a killed command may take to be gone.
END_SECONDS = 5.0

_HINT = "what becomes of it is shown by: vmcontroller output"

Sinks = dict[str, tuple[Sink, Sink]]


def declare(verbs: Verbs) -> None:
    """The two verbs."""
    _declare_run(verbs.add("run", run, "run a command in a VM, or in all that a pattern matches"))
    parser = verbs.add("output", output, "show a command's output from its beginning until it ends")
    parser.add_argument("cmd_id", metavar="COMMAND-ID")


def _declare_run(parser: ArgumentParser) -> None:
    parser.usage = "vmcontroller run [OPTIONS] VM -- COMMAND [ARGUMENT ...]"
    parser.add_argument("vm", metavar="VM", help="name, id or pattern")
    parser.add_argument("command", metavar="COMMAND", nargs="*", help="what is run, and its arguments")
    parser.add_argument(
        "--env", metavar="K=V", type=assignment, action="append", default=[], help="an environment variable"
    )
    parser.add_argument("--cwd", metavar="PATH", default="", help="working directory in the VM")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=0.0, help="end it after so many seconds, wherever it is"
    )
    parser.add_argument(
        "--group", metavar="GROUP", default="", help="the group that a pattern reaches; absent: default"
    )
    parser.add_argument("-n", "--no-stdin", action="store_true", help="do not pass on standard input")
    parser.add_argument("--detach", action="store_true", help="print the command-id and leave it running")


def run(session: Session) -> int:
    """Start the command; unless detached, follow it and exit with its code."""
    if not session.arguments.command:
        raise UsageError("no command is given; write it as: vmcontroller run VM -- COMMAND")
    if session.arguments.detach:
        return _detached(session)
    events: Events = queue.SimpleQueue()
    with session.api() as api, forwarding(events):
        cmd_id = uuid.uuid4().hex
        with _named(session, cmd_id):
            forwards = sys.stdin is not None and not session.arguments.no_stdin
            _ask(session, api, cmd_id, {"stdin": "stream"} if forwards else {})
            patience = Patience(api, cmd_id, session.say, session.arguments.timeout)
            following = Following(api, cmd_id, events, patience)
            if forwards:
                following.feed(sys.stdin.fileno())
            return _follow(session, api, cmd_id, following, forget=True)


def _detached(session: Session) -> int:
    with session.api() as api:
        cmd_id = _ask(session, api, uuid.uuid4().hex, {})
    session.show({"cmdId": cmd_id}, cmd_id)
    return codes.DONE


def _ask(session: Session, api: Client, cmd_id: str, options: dict[str, Any]) -> str:
    asked = session.arguments
    limits = {"limits": {"seconds": asked.timeout}} if asked.timeout else {}
    group = {"group": asked.group} if asked.group else {}
    options = {"cmdId": cmd_id, **limits, **group, **options}
    cmd, *args = asked.command
    return str(api.call("runCmd", asked.vm, cmd, args, dict(asked.env), asked.cwd, "", options))


@contextmanager
def _named(session: Session, cmd_id: str) -> Iterator[None]:
    """Whoever leaves, or is left, before the end learns how to come back to the command."""
    try:
        yield
    except (KeyboardInterrupt, ConnectionLost):
        session.say(f"the command may go on; {_HINT} {cmd_id}")
        raise


def output(session: Session) -> int:
    """Show it all, wait for the end and exit with the command's code; Ctrl-C leaves the command running."""
    cmd_id = session.arguments.cmd_id
    with session.api() as api:
        following = Following(api, cmd_id, queue.SimpleQueue(), Patience(api, cmd_id, session.say))
        return _follow(session, api, cmd_id, following, forget=False)


def _follow(session: Session, api: Client, cmd_id: str, following: Following, forget: bool) -> int:
    details = api.call("getCmdDetails", cmd_id)
    sinks = _sinks(session, details)
    try:
        is_whole = following.follow(sinks)
    except OSError:
        if forget:
            _end(api, cmd_id)
        raise
    parts = api.call("getCmdDetails", cmd_id)["parts"]
    code = _conclude(session, cmd_id, parts, sinks)
    if not is_whole:
        _kill(api, cmd_id)
        session.say(f"{_HINT} {cmd_id}")
    elif any(map(may_come_back, parts.values())):
        session.say(f"a snapshot may bring the command back; {_HINT} {cmd_id}")
    elif forget:
        api.call("forgetCmd", cmd_id)
    return code


def _end(api: Client, cmd_id: str) -> None:
    """Nobody takes what it writes: it is ended, as it would be here."""
    _kill(api, cmd_id)
    if api.call("waitForCmd", cmd_id, END_SECONDS)["finished"]:
        api.call("forgetCmd", cmd_id)


def _kill(api: Client, cmd_id: str) -> None:
    with ended_is_fine():
        api.call("signalCmd", cmd_id, SIGKILL)


def _sinks(session: Session, details: Mapping[str, Any]) -> Sinks:
    """Two for each VM: memory for JSON, labelled lines for a pattern, and else the descriptors as they are."""
    parts: Mapping[str, Part] = details["parts"]
    if session.arguments.json:
        return {vm: (Kept(), Kept()) for vm in parts}
    session.out.flush()
    out, err = Descriptor(session.out.fileno()), Descriptor(session.err.fileno())
    if any(details["to"] in (vm, part["id"]) for vm, part in parts.items()):
        return dict.fromkeys(parts, (out, err))
    return {vm: (Labelled(vm, out.write), Labelled(vm, err.write)) for vm in parts}


def _conclude(session: Session, cmd_id: str, parts: Mapping[str, Part], sinks: Sinks) -> int:
    for vm, part in sorted(parts.items()):
        if sentence := trouble(vm, part):
            session.say(sentence)
    code = max(map(exit_code, parts.values()), default=codes.RUN_FAILED)
    if session.arguments.json:
        each = {vm: told(part, *sinks[vm]) for vm, part in parts.items()}
        session.show({"cmdId": cmd_id, "exitCode": code, "vms": each}, "")
        session.out.flush()
    return code
