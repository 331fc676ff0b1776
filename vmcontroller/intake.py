"""Takes in what guests send of a command: its output and its result.

Octets are confirmed when they are on the disk. A result is confirmed when every octet of both streams is here
and their SHA-256 agree: only then the command has its outcome. Until then the guest keeps what it sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from vmcontroller.commands import Event, State, after
from vmcontroller.errors import DiskFull
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.records import Part
from vmcontroller.wire.words import STREAMS, CmdAck, CmdOutput, CmdResults, Word


class Intake:
    """``say(vm, word)`` answers a guest; ``grown(cmd_id)`` hears of new octets, ``ended(cmd_id, vm)`` of an outcome."""

    log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        outputs: Outputs,
        say: Callable[[str, Word], None],
        grown: Callable[[str], None],
        ended: Callable[[str, str], None],
    ) -> None:
        self._ledger = ledger
        self._outputs = outputs
        self._say = say
        self._grown = grown
        self._ended = ended
        self._syncing: set[tuple[str, str, str]] = set()
        self._settling: set[tuple[str, str]] = set()

    # -- output

    def output(self, vm: str, word: CmdOutput) -> None:
        """Store it if the part is open; confirm and drop it if the part has its outcome."""
        part = self._ledger.part(word.cmd_id, vm)
        if part is None:
            self._drop_of_stranger(vm, word.cmd_id, CmdAck(word.cmd_id, word.stream, word.offset + len(word.data)))
        elif part.ended:
            self._say(vm, CmdAck(word.cmd_id, word.stream, word.offset + len(word.data)))
        else:
            self._store(vm, word)

    def _drop_of_stranger(self, vm: str, cmd_id: str, confirmation: CmdAck) -> None:
        """A command that the ledger does not know is confirmed by the operator's word alone."""
        if any(known == cmd_id and killed for _, known, _, killed in self._ledger.strangers(vm)):
            self._say(vm, confirmation)
            if confirmation.of == "results":
                self._ledger.remove_stranger(vm, cmd_id)

    def _store(self, vm: str, word: CmdOutput) -> None:
        try:
            self._outputs.append(word.cmd_id, vm, word.stream, word.offset, word.data)
        except DiskFull as error:
            # Unconfirmed, the guest keeps it, slows the program down, and says it again.
            self.log.warn("{error}", error=error)
            return
        self._grown(word.cmd_id)
        self._confirm(word.cmd_id, vm, word.stream)

    def _confirm(self, cmd_id: str, vm: str, stream: str) -> None:
        """Confirm once the disk has it. While one wait for the disk is under way, the next one gathers."""
        if (cmd_id, vm, stream) not in self._syncing:
            self._syncing.add((cmd_id, vm, stream))
            ensureDeferred(self._confirm_synced(cmd_id, vm, stream)).addErrback(self._failed)

    async def _confirm_synced(self, cmd_id: str, vm: str, stream: str) -> None:
        try:
            synced = -1
            while synced < (there := self._outputs.length(cmd_id, vm, stream)):
                synced = await self._outputs.sync(cmd_id, vm, stream) if there else 0
                self._say(vm, CmdAck(cmd_id, stream, synced))
        finally:
            self._syncing.discard((cmd_id, vm, stream))
        self._settle(cmd_id, vm)

    def _failed(self, failure: Any) -> None:
        self.log.failure("output could not be confirmed; the guest will say it again", failure)

    # -- results

    def results(self, vm: str, word: CmdResults) -> None:
        """Take the result; the first outcome stands, a later one is confirmed and dropped."""
        part = self._ledger.part(word.cmd_id, vm)
        if part is None:
            self._drop_of_stranger(vm, word.cmd_id, CmdAck(word.cmd_id, "results"))
        elif part.ended:
            self._say(vm, CmdAck(word.cmd_id, "results"))
        elif self._is_whole(word) and not self._has_output(part):
            self._finish(part, result_record(word), {"out": word.out.whole() or b"", "err": word.err.whole() or b""})
        else:
            self._await_output(part, word)

    def _is_whole(self, word: CmdResults) -> bool:
        return all(
            (whole := report.whole()) is not None and report.sha256 in ("", hashlib.sha256(whole).hexdigest())
            for report in (word.out, word.err)
        )

    def _has_output(self, part: Part) -> bool:
        return any(self._outputs.length(part.cmd_id, part.vm, stream) for stream in STREAMS)

    def _await_output(self, part: Part, word: CmdResults) -> None:
        """Part of the output is stored, or on its way: keep the result until the rest is here."""
        for stream, report in (("out", word.out), ("err", word.err)):
            self._outputs.cut(part.cmd_id, part.vm, stream, report.length)
            whole = report.whole()
            if whole:
                self._store(part.vm, CmdOutput(part.cmd_id, stream, 0, whole))
        self._ledger.set_state(part.cmd_id, part.vm, State.ACCEPTED, result_record(word))
        self._settle(part.cmd_id, part.vm)

    def _settle(self, cmd_id: str, vm: str) -> None:
        """Give the part its outcome if its result and all of its output are here."""
        if (cmd_id, vm) in self._settling or not self._is_complete(self._ledger.part(cmd_id, vm)):
            return
        self._settling.add((cmd_id, vm))
        ensureDeferred(self._check_and_end(cmd_id, vm)).addErrback(self._failed)

    def _is_complete(self, part: Part | None) -> bool:
        if part is None or part.ended or not part.result:
            return False
        return all(
            self._outputs.length(part.cmd_id, part.vm, stream) == part.result[stream]["length"]
            and (part.cmd_id, part.vm, stream) not in self._syncing
            for stream in STREAMS
        )

    async def _check_and_end(self, cmd_id: str, vm: str) -> None:
        try:
            sums = {stream: await self._outputs.sha256(cmd_id, vm, stream) for stream in STREAMS}
        finally:
            self._settling.discard((cmd_id, vm))
        part = self._ledger.part(cmd_id, vm)
        if part is None or not self._is_complete(part):
            return  # something moved it while the sums were made
        result = dict(part.result)
        if any(result[stream]["sha256"] not in ("", sums[stream]) for stream in STREAMS):
            result["reason"] = f"{result['reason']} The stored output is not what the guest sent.".strip()
        self._finish(part, result, {})

    def _finish(self, part: Part, result: dict[str, Any], inline: dict[str, bytes]) -> None:
        state = after(part.state, Event.RESULT, State(result["outcome"]))
        self._ledger.end(part.cmd_id, part.vm, state, result, inline)
        self._outputs.close_part(part.cmd_id, part.vm)
        self._say(part.vm, CmdAck(part.cmd_id, "results"))
        self._ended(part.cmd_id, part.vm)


def result_record(word: CmdResults) -> dict[str, Any]:
    """A result as the ledger keeps it: the word's fields, its streams as length and checksum alone."""
    return {
        "outcome": word.outcome,
        "exitCodeOrSignal": word.exit_code_or_signal,
        "reason": word.reason,
        "left": word.left,
        "resources": dict(word.resources),
        "started": word.started,
        "seconds": word.seconds,
        "out": {"length": word.out.length, "sha256": word.out.sha256},
        "err": {"length": word.err.length, "sha256": word.err.sha256},
    }
