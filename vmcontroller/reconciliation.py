"""Holds what a guest says in HELLO against the ledger, by the table in commands.py.

Twice: at once, for the verdicts in WELCOME, and when the guest has confirmed the offer, for our own side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmcontroller.commands import Deed, Row, Seen, State, reconcile
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.records import Move, Part
from vmcontroller.sessions import Offer
from vmcontroller.wire.words import STREAMS, CommandReport, Verdict

_CUTS = {Deed.CUT, Deed.REOPEN}
_WHY = {
    State.LOST: "the guest knows nothing of it: its disk was lost",
    State.ROLLED_BACK: "the VM was restored to a moment before it was accepted",
}


@dataclass(frozen=True)
class Finding:
    """One command: what the ledger has, what the guest said, and the row of the table that holds."""

    cmd_id: str
    part: Part | None
    report: CommandReport | None
    row: Row


def findings(ledger: Ledger, vm: str, offer: Offer) -> list[Finding]:
    """Every command that the ledger awaits from this guest or that the guest speaks of."""
    reports = offer.hello.commands
    awaited = {part.cmd_id for part in ledger.open_parts(vm)}
    found = []
    for cmd_id in sorted(awaited | set(reports)):
        part, report = ledger.part(cmd_id, vm), reports.get(cmd_id)
        seen = Seen.UNKNOWN if report is None else Seen(report.state)
        row = reconcile(part.state if part else None, seen, offer.rolled_back)
        found.append(Finding(cmd_id, part, report, row))
    return found


def verdicts(ledger: Ledger, outputs: Outputs, vm: str, offer: Offer) -> dict[str, Verdict]:
    """What WELCOME says of each command in HELLO."""
    killed = {cmd_id for _, cmd_id, _, is_killed in ledger.strangers(vm) if is_killed}
    said = {}
    for finding in findings(ledger, vm, offer):
        if finding.report is not None:
            said[finding.cmd_id] = _verdict(outputs, vm, finding, finding.report, finding.cmd_id in killed)
    return said


def _verdict(outputs: Outputs, vm: str, finding: Finding, report: CommandReport, killed: bool) -> Verdict:
    deed = finding.row.deed
    if deed is Deed.FOREIGN and not killed:
        return Verdict("foreign")
    if deed is Deed.DROP and report.state != "running":
        return Verdict("forget")
    if deed in (Deed.DROP, Deed.FOREIGN):
        return Verdict("keep", report.out, report.err)
    have = {stream: outputs.length(finding.cmd_id, vm, stream) for stream in STREAMS}
    return Verdict("keep", min(have["out"], report.out), min(have["err"], report.err))


@dataclass(frozen=True)
class Judgement:
    """What follows for the ledger: parts that move, commands to send (again), and strangers with their state."""

    moves: list[Move]
    send: list[str]
    ended: list[str]
    strangers: Mapping[str, str]


def judge(ledger: Ledger, outputs: Outputs, vm: str, offer: Offer) -> Judgement:
    """Cut what is stored where the table says so, and tell what has to be written down and said."""
    moves: list[Move] = []
    send: list[str] = []
    ended: list[str] = []
    strangers: dict[str, str] = {}
    for finding in findings(ledger, vm, offer):
        deed = finding.row.deed
        if deed is Deed.FOREIGN and finding.report is not None:
            strangers[finding.cmd_id] = finding.report.state
        elif deed is not Deed.DROP:
            move = _move(ledger, finding)
            _cut(outputs, vm, finding, move[1])
            moves.append(move)
            (send if move[1] is State.SENT else ended if move[2] else []).append(finding.cmd_id)
    return Judgement(moves, send, ended, strangers)


def _move(ledger: Ledger, finding: Finding) -> Move:
    state = finding.row.next
    assert state is not None
    if finding.row.deed is Deed.REPLAY and _wants_replay(ledger, finding.cmd_id):
        return finding.cmd_id, State.SENT, {}
    result: dict[str, Any] = {}
    if finding.row.deed in (Deed.END, Deed.REPLAY):
        result = {"outcome": state.value, "exitCodeOrSignal": -1, "reason": _WHY[state]}
    return finding.cmd_id, state, result


def _wants_replay(ledger: Ledger, cmd_id: str) -> bool:
    command = ledger.command(cmd_id)
    return command is not None and command.request.replay


def _cut(outputs: Outputs, vm: str, finding: Finding, state: State) -> None:
    if state is State.SENT:
        lengths = dict.fromkeys(STREAMS, 0)
    elif finding.row.deed in _CUTS and finding.report is not None:
        lengths = {"out": finding.report.out, "err": finding.report.err}
    else:
        return
    for stream, length in lengths.items():
        outputs.cut(finding.cmd_id, vm, stream, length)
