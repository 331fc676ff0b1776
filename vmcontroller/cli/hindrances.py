"""What keeps a VM from going on with a command, and what the operator can do about it. It asks nobody anything."""

from __future__ import annotations

from vmcontroller.cli.outcomes import Part

#: Stands for the state of a VM that is not there any more.
REMOVED = "removed"
SILENT = "its agent is silent"

_OFF = ("PoweredOff", "Saved", "Aborted")
#: The verb by which a VM in this state goes on.
_REMEDIES = {**dict.fromkeys(_OFF, "start"), "Paused": "resume"}


def of(part: Part, state: str) -> str:
    """What it is, in a few words, or "": ``state`` is the VM's, ``part`` what the daemon says of the command there."""
    if state != "Running":
        return state
    return str(part["reason"]) if part["alive"] else SILENT


def is_deaf(hindrance: str) -> bool:
    """Nothing runs in this VM that a signal could reach now."""
    return hindrance in (*_OFF, REMOVED, SILENT)


def sentence(vm: str, hindrance: str) -> str:
    """The same for the operator, with the way out where he has to do something."""
    if hindrance in _REMEDIES:
        return f"{vm} is {hindrance}; vmcontroller {_REMEDIES[hindrance]} {vm} goes on"
    return f"{vm}: {hindrance or 'it goes on'}"
