"""``status`` and ``list``: what there is, as tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from vmcontroller.cli import codes
from vmcontroller.cli.render import duration, pairs, table
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Verbs
from vmcontroller.client import ApiFault, Client
from vmcontroller.errors import NotRunning, UnknownVM

_NO_VMS = "there are no VMs; vmcontroller create NAME makes one"


def declare(verbs: Verbs) -> None:
    """The two verbs."""
    verbs.add("status", status, "show the daemon, its VMs and the commands that run")
    verbs.add("list", list_machines, "show the VMs")


def status(session: Session) -> int:
    """Everything at a glance; it starts no daemon."""
    try:
        api = session.connect()
    except NotRunning as error:
        session.show({"running": False, "stateDir": str(session.state_dir)}, str(error))
        return codes.NO_DAEMON
    with api:
        told = {"running": True, **api.call("getInfo")}
        told |= {"machines": machines(api), "commands": api.call("listCmds", {"finished": False})}
    session.show(told, "\n\n".join(_paragraphs(told)))
    return codes.DONE


def _paragraphs(told: dict[str, Any]) -> Iterable[str]:
    yield pairs(
        [
            ("daemon", f"{told['id']} {told['version']}, pid {told['pid']}, up {duration(told['uptime'])}"),
            ("hypervisor", f"{told['hypervisor']} {told['hypervisorVersion']}"),
            ("broker", str(told["broker"])),
            ("state", str(told["stateDir"])),
        ]
    )
    yield machine_table(told["machines"]) if told["machines"] else _NO_VMS
    if told["commands"]:
        yield command_table(told["commands"], time.time())


def list_machines(session: Session) -> None:
    """The VMs, one a line."""
    with session.api() as api:
        found = machines(api)
    session.show(found, machine_table(found) if found else "")
    if not found:
        session.say(_NO_VMS)


def machines(api: Client) -> list[dict[str, Any]]:
    """What getVM says of every VM, by name; one that is removed meanwhile is left out."""
    found = [_machine(api, name) for name in sorted(api.call("listVMs"))]
    return [vm for vm in found if vm is not None]


def _machine(api: Client, name: str) -> dict[str, Any] | None:
    try:
        return dict(api.call("getVM", name))
    except ApiFault as fault:
        if fault.code == UnknownVM.code:
            return None
        raise


def machine_table(found: Iterable[dict[str, Any]]) -> str:
    """A line for each VM: its name, id, group and state, and whether its agent answers."""
    head = ("NAME", "ID", "GROUP", "STATE", "AGENT", "LOAD", "ADDRESSES")
    return table(head, [_machine_row(vm) for vm in found])


def _machine_row(vm: dict[str, Any]) -> Sequence[str]:
    load = f"{vm['load'][0]:.2f}" if vm.get("load") else "-"
    addresses = " ".join(vm.get("addresses") or ()) or "-"
    return (vm["name"], vm["id"], vm["group"], vm["state"], _agent(vm), load, addresses)


def _agent(vm: dict[str, Any]) -> str:
    if vm["alive"]:
        return "answers"
    return "silent" if vm["state"] == "Running" else "-"


def command_table(found: Iterable[dict[str, Any]], now: float) -> str:
    """A line for each command: its id, where it runs, for how long, and what it is. ``now`` in s since the epoch."""
    head = ("COMMAND-ID", "VM", "STATE", "FOR", "COMMAND")
    return table(head, [row for details in found for row in _command_rows(details, now)])


def _command_rows(details: dict[str, Any], now: float) -> Iterable[Sequence[str]]:
    line = " ".join([details["cmd"], *details["args"]])
    age = duration(now - details["timestamp"])
    for vm, part in sorted(details["parts"].items()):
        yield (details["cmdId"], vm, part["state"], age, line if len(line) <= 60 else line[:57] + "...")
