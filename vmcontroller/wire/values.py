"""The values that stand inside words: limits, input, verdicts, and what became of a command and its streams."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmcontroller.wire.fields import (
    as_amount,
    as_base64,
    as_count,
    as_text,
    body,
    build,
    decode_octets,
    one_of,
    slots_of,
)

#: At most this many octets of a stream travel in one CMD_OUTPUT or CMD_STDIN, or inside CMD_RESULTS.
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """What a command may use; 0 means as much as it likes.

    ``seconds`` of wall time (monotonic; afterwards the outcome is timedOut), ``cpuSeconds`` of processor
    time, ``memoryBytes`` of address space per process, ``outputBytes`` per stream. ``orphans`` says what
    becomes of processes that outlive the command: ``kill`` or ``leave``.
    """

    seconds: float = body(as_amount, default=0.0)
    cpu_seconds: float = body(as_amount, "cpuSeconds", default=0.0)
    memory_bytes: int = body(as_count, "memoryBytes", default=0)
    output_bytes: int = body(as_count, "outputBytes", default=0)
    orphans: str = body(one_of(("kill", "leave")), default="kill")


@dataclass(frozen=True)
class Stdin:
    """Where a command's input comes from.

    ``none``: it reads end-of-file at once. ``inline``: ``data`` (base64 of at most CHUNK octets).
    ``file``: ``name`` is a file in the guest's served directory, or absolute. ``stream``: CMD_STDIN brings it.
    """

    kind: str = body(one_of(("none", "inline", "file", "stream")), default="none")
    name: str = body(as_text, default="")
    data: str = body(as_base64, default="")


@dataclass(frozen=True)
class CommandReport:
    """One command in HELLO: its state in the guest's journal and how many octets each stream has had.

    ``running`` (accepted, perhaps not yet started), ``finished`` (its result is in the journal) or ``dead``
    (the agent or machine restarted, its processes are gone; its result is ``lost``).
    """

    state: str = body(one_of(("running", "finished", "dead")))
    out: int = body(as_count, default=0)
    err: int = body(as_count, default=0)


@dataclass(frozen=True)
class Verdict:
    """What the host says in WELCOME of one command in HELLO.

    ``keep``: go on; the host has ``out`` and ``err`` octets of its streams and wants the rest and the result.
    ``forget``: the host has all it wants; free the bytes, keep the tombstone. ``foreign``: the host knows
    nothing of it; keep it and send nothing.
    """

    verdict: str = body(one_of(("keep", "forget", "foreign")))
    out: int = body(as_count, default=0)
    err: int = body(as_count, default=0)


@dataclass(frozen=True)
class StreamReport:
    """One stream of a finished command: its length in octets and its SHA-256 in hex ("" when unknown).

    If the whole stream is no longer than CHUNK it travels along: as ``text`` when it is UTF-8, else as
    ``base64``. A longer one has both empty and comes as CMD_OUTPUT.
    """

    length: int = body(as_count, default=0)
    sha256: str = body(as_text, default="")
    text: str = body(as_text, default="")
    base64: str = body(as_base64, default="")

    @classmethod
    def of(cls, whole: bytes, sha256: str) -> StreamReport:
        """The report of a stream that is short enough to travel along."""
        try:
            return cls(len(whole), sha256, text=whole.decode("utf-8"))
        except UnicodeDecodeError:
            return cls(len(whole), sha256, base64=b64encode(whole).decode("ascii"))

    def whole(self) -> bytes | None:
        """The stream itself if it came along, else None."""
        data = decode_octets(self.base64) if self.base64 else self.text.encode("utf-8", "surrogateescape")
        return data if len(data) == self.length else None


def limits_of(values: Mapping[str, Any]) -> Limits:
    """Limits from their JSON form; ValueError names the field that is wrong."""
    return _whole_record(Limits, values)  # type: ignore[no-any-return]


def stdin_of(values: Mapping[str, Any]) -> Stdin:
    """Stdin from its JSON form; ValueError names the field that is wrong."""
    return _whole_record(Stdin, values)  # type: ignore[no-any-return]


def _whole_record(kind: type[Any], values: Mapping[str, Any]) -> Any:
    unknown = set(values) - {slot.wire for slot in slots_of(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__.lower()} has no field {', '.join(sorted(unknown))}")
    return build(kind, values)
