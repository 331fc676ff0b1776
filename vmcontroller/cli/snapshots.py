"""``snapshot take | restore | list | rm``."""

from __future__ import annotations

import time

from vmcontroller.cli.render import table
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Verbs


def declare(verbs: Verbs) -> None:
    """The four verbs behind ``snapshot``."""
    group = verbs.group("snapshot", "take, restore, list and remove snapshots")
    taking = group.add("take", take, "keep a VM as it is")
    restoring = group.add("restore", restore, "bring back what a snapshot holds; the VM must be off or saved")
    listing = group.add("list", list_snapshots, "show a VM's snapshots, oldest first")
    removing = group.add("rm", remove, "remove a snapshot")
    for parser in (taking, restoring, listing, removing):
        parser.add_argument("vm", metavar="VM")
    taking.add_argument("name", metavar="NAME", nargs="?", default="", help="absent: the date and time")
    taking.add_argument("--description", metavar="TEXT", default="")
    restoring.add_argument("name", metavar="NAME", nargs="?", default="", help="absent: the newest")
    removing.add_argument("name", metavar="NAME")


def take(session: Session) -> None:
    """Take one and say its name."""
    name = session.arguments.name or time.strftime("%Y-%m-%d %H:%M:%S")
    with session.api() as api:
        api.call("takeSnapshot", session.arguments.vm, name, session.arguments.description)
    session.show({"vm": session.arguments.vm, "snapshot": name}, name)


def restore(session: Session) -> None:
    """Restore one and say how the VM is then."""
    vm = session.arguments.vm
    with session.api() as api:
        api.call("restoreSnapshot", vm, session.arguments.name)
        state = api.call("getState", vm)
    session.show({vm: state}, f"{vm}: {state}")


def list_snapshots(session: Session) -> None:
    """A line for each."""
    with session.api() as api:
        found = api.call("listSnapshots", session.arguments.vm)
    rows = [
        (s["name"], time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(s["taken"])), s["description"]) for s in found
    ]
    session.show(found, table(("NAME", "TAKEN", "DESCRIPTION"), rows) if rows else "")
    if not found:
        session.say(f"{session.arguments.vm} has no snapshots")


def remove(session: Session) -> None:
    """Remove one."""
    vm, name = session.arguments.vm, session.arguments.name
    with session.api() as api:
        api.call("deleteSnapshot", vm, name)
    session.show({"vm": vm, "removed": name}, "")
