"""What became of a command, as an exit code, as a sentence and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vmcontroller.cli import codes
from vmcontroller.cli.sinks import Kept, Sink

#: What getCmdDetails says of a command in one VM.
Part = Mapping[str, Any]
#: The API tells why a command was not started in words alone; these are the guest agent's for what is not there.
_MISSING = re.compile("is not found|does not exist")


def exit_code(part: Part) -> int:
    """The code that tells it as shells and timeout(1) do."""
    match part["state"]:
        case "exited":
            return int(part["exitCodeOrSignal"])
        case "signalled":
            return codes.SIGNALLED + int(part["exitCodeOrSignal"])
        case "timedOut" | "sent" | "accepted":  # it is waited for no longer
            return codes.TIMED_OUT
        case "notStarted":
            return codes.NOT_FOUND if _MISSING.search(part["reason"]) else codes.NOT_EXECUTABLE
        case _:
            return codes.RUN_FAILED


def may_come_back(part: Part) -> bool:
    """A snapshot that is restored may hold the command, and its output from there on."""
    return part["state"] in ("lost", "rolledBack")


def is_open(part: Part) -> bool:
    """It has no outcome yet."""
    return not part["outcome"]


def trouble(vm: str, part: Part) -> str:
    """The sentence that the operator needs besides the exit code, or ""."""
    sentences = {
        "sent": "the command was not begun in time; it is killed as soon as the VM answers",
        "accepted": "the command has not ended in time; it is killed as soon as the VM answers",
        "timedOut": "the command was ended by its limit",
        "notStarted": "the command was not started",
        "lost": "the command was lost, its VM or its agent went away",
        "rolledBack": "the VM was rolled back to a time before the command",
    }
    sentence = ": ".join(filter(None, (sentences.get(part["state"]), part["reason"])))
    return f"{vm}: {sentence}" if sentence else ""


def told(part: Part, out: Sink, err: Sink) -> dict[str, Any]:
    """One VM's part as JSON shows it, with the output that was kept; what is no text stays octets."""
    known = {name: part[name] for name in ("outcome", "exitCodeOrSignal", "reason", "resources")}
    kept = {name: _text(sink.whole) for name, sink in (("out", out), ("err", err)) if isinstance(sink, Kept)}
    return {**known, "exitCode": exit_code(part), **kept}


def _text(whole: bytes) -> str | bytes:
    try:
        return whole.decode("utf-8")
    except UnicodeDecodeError:
        return whole
