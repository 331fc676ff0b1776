"""Commands as callers see them: the dictionary of 2009 and the details beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmcontroller.commands import State
from vmcontroller.errors import NotInAudience, UnknownCommand, UnknownVM
from vmcontroller.guests import Guests
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.records import Command, Part
from vmcontroller.wire.words import RU_FIELDS, STREAMS

#: Octets of each stream that getCmdResults returns; getCmdOutput has the rest.
MOST_OUTPUT = 16 * 1024 * 1024
NO_ROOM = "no room for the output: free some space on the disk of the state directory, and it goes on by itself"


class Results:
    """Reads the ledger, the stored output, and what guests last said of what they run."""

    def __init__(self, ledger: Ledger, outputs: Outputs, guests: Guests) -> None:
        self._ledger = ledger
        self._outputs = outputs
        self._guests = guests

    def parts(self, cmd_id: str, vm: str = "") -> list[Part]:
        """The parts of a command, or the one at the VM of this name or id. UnknownCommand, NotInAudience."""
        parts = self._ledger.parts(cmd_id)
        if not parts:
            raise UnknownCommand(f"no command has the id {cmd_id!r}; listCmds() names all that are known")
        if not vm:
            return parts
        chosen = [part for part in parts if vm in (part.name, part.vm)]
        if not chosen:
            names = ", ".join(part.name for part in parts)
            raise NotInAudience(f"{cmd_id} was not sent to {vm!r}; it was sent to {names}")
        return chosen

    def one(self, cmd_id: str, vm: str) -> Part:
        """The one part that is meant; UnknownVM when there are several and none is named."""
        parts = self.parts(cmd_id, vm)
        if len(parts) > 1:
            names = ", ".join(part.name for part in parts)
            raise UnknownVM(f"{cmd_id} went to several VMs; name one of {names}")
        return parts[0]

    def waiting(self, cmd_id: str, vm: str = "") -> list[str]:
        """The names of the VMs that have no outcome yet."""
        return [part.name for part in self.parts(cmd_id, vm) if not part.ended]

    def output(self, part: Part, stream: str, offset: int, length: int) -> bytes:
        """Stored octets of a stream; they may be fewer than asked for."""
        inline = self._ledger.inline(part.cmd_id, part.vm, stream)
        if inline is not None:
            return inline[offset : offset + length]
        return self._outputs.read(part.cmd_id, part.vm, stream, offset, length)

    def stored(self, part: Part, stream: str) -> int:
        """How many octets of a stream are stored."""
        inline = self._ledger.inline_length(part.cmd_id, part.vm, stream)
        return inline if inline is not None else self._outputs.length(part.cmd_id, part.vm, stream)

    def result(self, part: Part) -> dict[str, Any]:
        """The result dictionary of 2009, with what was added since."""
        said = part.result
        return {
            "out": self.output(part, "out", 0, MOST_OUTPUT),
            "err": self.output(part, "err", 0, MOST_OUTPUT),
            "finished": part.state is State.EXITED,
            "exitCodeOrSignal": said.get("exitCodeOrSignal", -1),
            "resources": _resources(said.get("resources", {})),
            "outcome": part.state.value,
            "reason": said.get("reason", ""),
            "started": said.get("started", 0.0),
            "seconds": said.get("seconds", 0.0),
            "left": said.get("left", 0),
        }

    def details(self, command: Command) -> dict[str, Any]:
        """What was asked, and how far it is at each VM."""
        request = command.request
        return {
            "cmdId": command.cmd_id,
            "timestamp": command.asked,
            "to": request.to,
            "cmd": request.cmd,
            "args": list(request.args),
            "env": dict(request.env),
            "path": request.path,
            "fileForStdin": request.stdin.get("name", ""),
            "limits": dict(request.limits),
            "group": request.group,
            "replay": request.replay,
            "read": command.read,
            "parts": {part.name: self._part(part) for part in self._ledger.parts(command.cmd_id)},
        }

    def _part(self, part: Part) -> dict[str, Any]:
        guest = self._guests.get(part.vm)
        live = guest.beacon.commands.get(part.cmd_id, {}) if guest else {}
        return {
            "id": part.vm,
            "alive": guest is not None,
            "state": part.state.value,
            **{stream: self.stored(part, stream) for stream in STREAMS},
            "outcome": part.state.value if part.ended else "",
            "exitCodeOrSignal": part.result.get("exitCodeOrSignal", -1),
            "reason": self._obstacle(part) or part.result.get("reason", ""),
            "resources": dict(part.result.get("resources") or live),
        }

    def _obstacle(self, part: Part) -> str:
        """What keeps an open part from its end though its guest is there, or ""."""
        is_short = not part.ended and self._outputs.lacks_room(part.cmd_id, part.vm)
        return NO_ROOM if is_short else ""


def _resources(said: Mapping[str, float]) -> dict[str, float]:
    return {**dict.fromkeys(RU_FIELDS, 0.0), **said}
