"""XML-RPC methods for commands in guests."""

from __future__ import annotations

import uuid
import xmlrpc.client
from collections.abc import Mapping
from typing import Any

from vmcontroller.api import forms
from vmcontroller.commands import State
from vmcontroller.controller import Controller
from vmcontroller.errors import BadRequest
from vmcontroller.ledger import Ledger
from vmcontroller.machines import Machines
from vmcontroller.records import Part, Request
from vmcontroller.results import Results
from vmcontroller.wire.words import STREAMS
from vmcontroller.wishes import DEFAULT_GROUP

_OPTIONS = ("cmdId", "group", "limits", "replay", "stdin")
_FILTERS = ("vm", "state", "finished", "group")
#: Octets that one call gives back at most.
MOST_AT_ONCE = 16 * 1024 * 1024


class CommandMethods:
    """Run commands, look after them, get what they printed."""

    def __init__(self, machines: Machines, controller: Controller, ledger: Ledger, results: Results) -> None:
        self._machines = machines
        self._controller = controller
        self._ledger = ledger
        self._results = results

    async def ping(self, vm: str, timeout_secs: float = 5.0) -> str:
        """Ask the VM's agent for a PONG and wait for it. Returns "PONG from NAME"; fault 204 when none comes."""
        if timeout_secs < 0:
            raise BadRequest(f"ping: timeout_secs must not be negative, and is {timeout_secs:g}")
        machine = await self._machines.find(vm)
        await self._controller.ping(machine.id, timeout_secs)
        return f"PONG from {machine.name}"

    async def runCmd(
        self,
        toVmName: str,
        cmd: str,
        args: Any = (),
        env: Any = "",
        path: str = "",
        fileForStdin: str = "",
        options: dict = {},
    ) -> str:
        """Run a program in one VM, or in all that match a pattern ("worker-*"). Returns the command's id at once.

        ``env`` is laid over a small environment (PATH, HOME, LANG), ``path`` is the working directory (default: the
        directory that files are put into), ``fileForStdin`` a file in the guest. Options: cmdId (the same id and
        arguments again give the same command), group (of a pattern, default "default"), limits (a struct of seconds,
        cpuSeconds, memoryBytes, outputBytes and orphans; see Units), replay (run again after the VM was restored to a
        moment before the command), stdin ("stream", to be written by writeStdin, or the input itself). Fault 904 where
        less room than min_free_disk is left for what it prints.
        """
        unknown = set(options) - set(_OPTIONS)
        if unknown:
            raise BadRequest(f"runCmd: {', '.join(sorted(unknown))} is no option; there are {', '.join(_OPTIONS)}")
        group = str(options.get("group") or DEFAULT_GROUP)
        request = Request(
            to=toVmName,
            cmd=cmd,
            args=forms.arguments(args),
            env=forms.environment(env),
            path=forms.path(path),
            stdin=forms.stdin(fileForStdin, options.get("stdin")),
            limits=forms.limits(options.get("limits", {})),
            group=group,
            replay=bool(options.get("replay")),
        )
        cmd_id = str(options.get("cmdId") or uuid.uuid4())
        audience = {} if self._ledger.command(cmd_id) else await self._machines.audience(toVmName, group)
        return self._controller.run(cmd_id, request, audience)

    # -- results

    def listFinishedCmds(self) -> list:
        """The ids of the commands that have ended and whose results nobody has read, oldest first."""
        return self._ledger.finished_unread()

    async def getCmdResults(self, cmdId: str, vm: str = "", timeout: float = 0.0) -> Any:
        """How a command ended: out, err, finished, exitCodeOrSignal (-1 for what has neither), resources (see Units),
        outcome, reason (a sentence, or ""), started, seconds (how long it ran), and left (how many of its processes
        outlived it).

        "" while it has not, and for an unknown id, as in 2009. For a command to several VMs {name: result} when all
        have ended, or one with ``vm``. ``outcome`` is exited, signalled, timedOut, notStarted, lost or rolledBack. At
        most 16 MiB of each stream; getCmdOutput has the rest. Reading takes the command off listFinishedCmds and
        destroys nothing.
        With ``timeout`` it waits so many seconds for the end.
        """
        if timeout <= 0 and not self._ledger.command(cmdId):
            return ""
        parts = await self._parts_in_the_end(cmdId, vm, timeout)
        if not all(part.ended for part in parts):
            return ""
        if not vm or not self._results.waiting(cmdId):
            self._ledger.mark_read(cmdId)
        if vm or (len(parts) == 1 and self._is_meant(cmdId, parts[0])):
            return self._results.result(parts[0])
        return {part.name: self._results.result(part) for part in parts}

    async def _parts_in_the_end(self, cmd_id: str, vm: str, timeout: float) -> list[Part]:
        """The parts of a command, or the one at ``vm``, when they have ended or the time is up."""
        parts: list[Part] = []

        def ended() -> bool:
            parts[:] = self._results.parts(cmd_id, vm)
            return all(part.ended for part in parts)

        await self._controller.waiters.until(("cmd", cmd_id), ended, timeout)
        return parts

    def _is_meant(self, cmd_id: str, part: Part) -> bool:
        """The VM was named, and is not the only one that matches a pattern."""
        return self._controller.command(cmd_id).request.to in (part.name, part.vm)

    async def waitForCmd(self, cmdId: str, timeout: float, vm: str = "") -> dict:
        """Wait until a command has ended (everywhere, or at ``vm``), at most ``timeout`` seconds.

        Returns {finished, waiting}: ``waiting`` names the VMs that have no outcome yet. A VM that was stopped stays
        there: what became of the command it tells when it runs again. getCmdDetails says which of them are alive, and
        removeVM, or a restored snapshot, gives the command an outcome.
        """
        waiting = [part.name for part in await self._parts_in_the_end(cmdId, vm, timeout) if not part.ended]
        return {"finished": not waiting, "waiting": waiting}

    def getCmdOutput(self, cmdId: str, stream: str, offset: int, length: int, vm: str = "") -> Any:
        """Octets of "out" or "err" from ``offset`` on, at most ``length``, while the command runs, too."""
        if stream not in STREAMS or offset < 0 or length < 0:
            raise BadRequest("getCmdOutput: stream must be 'out' or 'err', offset and length not negative")
        part = self._results.one(cmdId, vm)
        return xmlrpc.client.Binary(self._results.output(part, stream, offset, min(length, MOST_AT_ONCE)))

    async def waitForOutput(self, cmdId: str, outOffset: int, errOffset: int, timeout: float, vm: str = "") -> dict:
        """Wait until there is output beyond the offsets, or the command has ended, at most ``timeout`` seconds.

        Returns {out, err, ended}: at most 1 MiB of each stream, as Binary; ``ended`` is true when nothing follows.
        """
        if outOffset < 0 or errOffset < 0:
            raise BadRequest("waitForOutput: the offsets must not be negative")
        offsets = {"out": outOffset, "err": errOffset}
        part = self._results.one(cmdId, vm)

        def more() -> bool:
            return self._results.one(cmdId, part.vm).ended or any(
                self._results.stored(part, stream) > offset for stream, offset in offsets.items()
            )

        await self._controller.waiters.until(("cmd", cmdId), more, timeout)
        ended = self._results.one(cmdId, part.vm).ended
        found = {stream: self._results.output(part, stream, offset, 1 << 20) for stream, offset in offsets.items()}
        whole = all(offset + len(found[s]) >= self._results.stored(part, s) for s, offset in offsets.items())
        return {**{s: xmlrpc.client.Binary(data) for s, data in found.items()}, "ended": ended and whole}

    def getCmdDetails(self, cmdId: str) -> dict:
        """What was asked (cmdId, timestamp, to, cmd, args, env, path, fileForStdin, limits, group, replay), whether the
        results were read, and parts: {name: {id, alive (its agent is there now), state, out, err (octets stored),
        outcome, exitCodeOrSignal, reason (of the outcome; before it, "no room for the output" while the host's disk is
        full, and else ""), resources (live while it runs)}}."""
        return self._results.details(self._controller.command(cmdId))

    def listCmds(self, filter: dict = {}) -> list:
        """The details of all commands, oldest first. Filter: vm (name or id), state, finished (boolean), group."""
        unknown = set(filter) - set(_FILTERS)
        if unknown:
            raise BadRequest(f"listCmds: {', '.join(sorted(unknown))} is no filter; there are {', '.join(_FILTERS)}")
        if filter.get("state", "sent") not in list(State):
            raise BadRequest(f"listCmds: state must be one of {', '.join(State)}")
        cmd_ids = self._ledger.command_ids(unfinished=not filter.get("finished", True))
        details = (self._results.details(self._controller.command(cmd_id)) for cmd_id in cmd_ids)
        return [found for found in details if _fits(found, filter)]

    # -- what runs

    async def signalCmd(self, cmdId: str, signal: int, vm: str = "") -> bool:
        """Send a signal (its number) to every process of a command, at all its VMs or at one."""
        if not 1 <= signal <= 64:
            raise BadRequest(f"signalCmd: {signal} is no signal; SIGTERM is 15, SIGKILL 9, SIGINT 2")
        self._controller.signal(cmdId, signal, self._results.parts(cmdId, vm))
        return True

    async def writeStdin(self, cmdId: str, data: bytes) -> bool:
        """Add to the input of a command that was run with the option stdin="stream".

        Returns when the slowest VM has less than 8 MiB still to read, or after 5 seconds.
        """
        await self._controller.write_stdin(cmdId, data)
        return True

    async def closeStdin(self, cmdId: str) -> bool:
        """End the input of a command: it reads end-of-file after what was written."""
        self._controller.close_stdin(cmdId)
        return True

    def forgetCmd(self, cmdId: str) -> bool:
        """Remove an ended command and all that it printed; fault 100 while it runs."""
        self._controller.forget(cmdId)
        return True

    # -- what the ledger does not know

    def listForeignCmds(self) -> list:
        """Commands that guests speak of and the ledger does not know: [{vm, cmdId, state, killed}].

        They appear when the ledger was lost or restored from a backup. They run on until killForeignCmd.
        """
        names = {guest.vm: guest.name for guest in self._ledger.guests()}
        return [
            {"vm": names[vm], "cmdId": cmd_id, "state": state, "killed": killed}
            for vm, cmd_id, state, killed in self._ledger.strangers()
        ]

    async def killForeignCmd(self, vm: str, cmdId: str) -> bool:
        """End a command of listForeignCmds, and let its guest forget it."""
        machine = await self._machines.find(vm)
        self._controller.kill_stranger(machine.id, cmdId)
        return True


def _fits(details: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    parts = details["parts"]
    if "group" in wanted and details["group"] != wanted["group"]:
        return False
    if "finished" in wanted and all(part["outcome"] for part in parts.values()) != bool(wanted["finished"]):
        return False
    return any(
        wanted.get("vm", name) in (name, part["id"]) and wanted.get("state", part["state"]) == part["state"]
        for name, part in parts.items()
    )
