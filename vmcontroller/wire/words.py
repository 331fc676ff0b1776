"""The words that host and guests say to each other, as values.

One message is one STOMP frame. Its header ``word`` names the class below; fields declared with ``header`` travel
as headers, all others together as a JSON object in UTF-8, and one declared with ``octets`` is the raw body.
Header values are percent-encoded outside the safe characters, so that no name can forge a header.

``say(word)`` gives headers and body, ``hear(headers, body)`` gives the word back. What is heard comes from
a stranger: every field is checked, and NotAWord tells which one is wrong.

Who says what when, and what answers it: docs/reference/words.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vmcontroller.wire.fields import (
    as_cmd_id,
    as_count,
    as_flag,
    as_integer,
    as_number,
    as_text,
    body,
    build,
    decode_octets,
    from_header,
    header,
    list_of,
    map_of,
    octets,
    one_of,
    plain,
    record,
    slots_of,
    to_header,
)
from vmcontroller.wire.values import (
    CHUNK,
    CommandReport,
    Limits,
    Stdin,
    StreamReport,
    Verdict,
    limits_of,
    stdin_of,
)

__all__ = [
    "CHUNK",
    "IN_SESSION",
    "OUTCOMES",
    "OUTSIDE_SESSIONS",
    "RU_FIELDS",
    "STREAMS",
    "WINDOW",
    "WORDS",
    "Aint",
    "Bye",
    "CmdAccepted",
    "CmdAck",
    "CmdOutput",
    "CmdResults",
    "CmdRun",
    "CmdSignal",
    "CmdStdin",
    "CommandReport",
    "Hello",
    "Limits",
    "NotAWord",
    "Ping",
    "Pong",
    "Stdin",
    "StillAlive",
    "StreamReport",
    "Verdict",
    "Welcome",
    "Who",
    "Word",
    "decode_octets",
    "hear",
    "is_void",
    "limits_of",
    "say",
    "session_of",
    "stdin_of",
]

#: At most this many octets of one stream are under way and unconfirmed.
WINDOW = 1024 * 1024
#: The header that every frame carries besides its word's own: the speaker's session when it was said.
IN_SESSION = "in-session"
STREAMS = ("out", "err")
OUTCOMES = ("exited", "signalled", "timedOut", "notStarted", "lost", "rolledBack")
#: The 16 fields of getrusage(2), named as Python's ``resource`` module names them.
RU_FIELDS = (
    *("ru_utime", "ru_stime", "ru_maxrss", "ru_ixrss", "ru_idrss", "ru_isrss", "ru_minflt", "ru_majflt"),
    *("ru_nswap", "ru_inblock", "ru_oublock", "ru_msgsnd", "ru_msgrcv", "ru_nsignals", "ru_nvcsw", "ru_nivcsw"),
)

_TEXTS_BY_NAME = map_of(as_text, as_text)
_NUMBERS_BY_NAME = map_of(as_text, as_number)


class NotAWord(ValueError):
    """What was heard is no word of ours; the text names the word and the field."""


@dataclass(frozen=True)
class Word:
    """What all words share. ``WORD`` is the name on the wire."""

    WORD: ClassVar[str] = ""


@dataclass(frozen=True)
class Who(Word):
    """Host → its guests: I have (re)started, or want a new session; say HELLO."""

    WORD = "WHO"


@dataclass(frozen=True)
class Hello(Word):
    """Guest → host: who I am and what I know. Repeated until WELCOME answers this nonce.

    ``journal`` is the random id of the guest's journal: another one means another disk. ``session`` is the
    last that it wrote down, 0 for none.
    """

    WORD = "HELLO"
    nonce: str = header("nonce", as_text)
    id: str = body(as_text)
    journal: str = body(as_text)
    session: int = body(as_count)
    name: str = body(as_text, default="")
    addresses: tuple[str, ...] = body(list_of(as_text), default=())
    versions: Mapping[str, str] = body(_TEXTS_BY_NAME, default_factory=dict)
    chirp_port: int = body(as_count, "chirpPort", default=0)
    commands: Mapping[str, CommandReport] = body(map_of(as_cmd_id, record(CommandReport)), default_factory=dict)

    def same_moment(self, other: Hello) -> bool:
        """The other is this HELLO said again. A restored machine may come with an old nonce and another memory."""
        mine, others = (self.journal, self.session, set(self.commands)), (other.journal, other.session)
        return mine == (*others, set(other.commands))


@dataclass(frozen=True)
class Welcome(Word):
    """Host → guest: the answer to one HELLO. Repeated until CMD_ACK of ``session`` comes.

    ``time`` is the host's clock, in seconds since the epoch.
    """

    WORD = "WELCOME"
    session: int = header("session", as_count)
    nonce: str = body(as_text)
    proof: str = body(as_text)
    time: float = body(as_number)
    verdicts: Mapping[str, Verdict] = body(map_of(as_cmd_id, record(Verdict)), default_factory=dict)


@dataclass(frozen=True)
class Bye(Word):
    """Guest → host: I am leaving, and why."""

    WORD = "BYE"
    reason: str = body(as_text, default="")


@dataclass(frozen=True)
class StillAlive(Word):
    """Guest → host, right after WELCOME and then every beacon interval.

    ``load`` are the three load averages, memory and disk are in octets, ``commands`` maps a running cmd-id
    to its live resources (RU_FIELDS and ``processes``).
    """

    WORD = "STILL_ALIVE"
    load: tuple[float, ...] = body(list_of(as_number), default=())
    memory: Mapping[str, float] = body(_NUMBERS_BY_NAME, default_factory=dict)
    disk: Mapping[str, float] = body(_NUMBERS_BY_NAME, default_factory=dict)
    commands: Mapping[str, Mapping[str, float]] = body(map_of(as_cmd_id, _NUMBERS_BY_NAME), default_factory=dict)


@dataclass(frozen=True)
class Ping(Word):
    """Host → guest: answer at once. ``timestamp`` comes back as it went out."""

    WORD = "PING"
    ping_id: str = header("ping-id", as_text)
    timestamp: str = header("timestamp", as_text)


@dataclass(frozen=True)
class Pong(Word):
    """Guest → host: the answer to a PING."""

    WORD = "PONG"
    ping_id: str = header("ping-id", as_text)
    timestamp: str = header("timestamp", as_text)


@dataclass(frozen=True)
class CmdRun(Word):
    """Host → guest, or → all of a group: run this. Repeated until CMD_ACCEPTED.

    ``audience`` are the ids that it is meant for: a guest that is not among them ignores it. A guest whose
    own session is larger than ``session`` joined later and ignores it too. ``env`` is laid over a
    small environment (PATH, HOME, LANG); ``path`` is the working directory ("" is the served directory).
    """

    WORD = "CMD_RUN"
    cmd_id: str = header("cmd-id", as_cmd_id)
    cmd: str = header("cmd", as_text)
    session: int = header("session", as_count)
    audience: tuple[str, ...] = body(list_of(as_text))
    args: tuple[str, ...] = body(list_of(as_text), default=())
    env: Mapping[str, str] = body(_TEXTS_BY_NAME, default_factory=dict)
    path: str = body(as_text, default="")
    stdin: Stdin = body(record(Stdin), default=Stdin())
    limits: Limits = body(record(Limits), default=Limits())


@dataclass(frozen=True)
class CmdAccepted(Word):
    """Guest → host: the command stands in my journal."""

    WORD = "CMD_ACCEPTED"
    cmd_id: str = header("cmd-id", as_cmd_id)


@dataclass(frozen=True)
class CmdOutput(Word):
    """Guest → host: at most CHUNK octets of a stream, from ``offset`` on."""

    WORD = "CMD_OUTPUT"
    cmd_id: str = header("cmd-id", as_cmd_id)
    stream: str = header("stream", one_of(STREAMS))
    offset: int = header("offset", as_count)
    data: bytes = octets(CHUNK)


@dataclass(frozen=True)
class CmdStdin(Word):
    """Host → guest: at most CHUNK octets of input, from ``offset`` on; ``eof`` when nothing follows them."""

    WORD = "CMD_STDIN"
    cmd_id: str = header("cmd-id", as_cmd_id)
    offset: int = header("offset", as_count)
    eof: bool = header("eof", as_flag)
    data: bytes = octets(CHUNK)


@dataclass(frozen=True)
class CmdSignal(Word):
    """Host → guest: send a signal to the command's processes, once per signal-id. Repeated until CMD_ACK."""

    WORD = "CMD_SIGNAL"
    cmd_id: str = header("cmd-id", as_cmd_id)
    signal_id: str = header("signal-id", as_cmd_id)
    signal: int = header("signal", as_count)


@dataclass(frozen=True)
class CmdResults(Word):
    """Guest → host: how a command ended. Repeated until CMD_ACK of ``results``.

    ``exitCodeOrSignal`` is the exit code for exited, the signal's number for signalled and timedOut, else -1.
    ``reason`` says why in a sentence where the outcome alone does not; ``left`` counts the processes that
    outlived the command. ``started`` is the guest's clock in seconds since the epoch, ``seconds`` how long it ran.
    """

    WORD = "CMD_RESULTS"
    ALIASES: ClassVar[tuple[str, ...]] = ("CMD_RESULT",)
    cmd_id: str = header("cmd-id", as_cmd_id)
    outcome: str = body(one_of(OUTCOMES))
    exit_code_or_signal: int = body(as_integer, "exitCodeOrSignal", default=-1)
    reason: str = body(as_text, default="")
    left: int = body(as_count, default=0)
    resources: Mapping[str, float] = body(_NUMBERS_BY_NAME, default_factory=dict)
    started: float = body(as_number, default=0.0)
    seconds: float = body(as_number, default=0.0)
    out: StreamReport = body(record(StreamReport), default=StreamReport())
    err: StreamReport = body(record(StreamReport), default=StreamReport())

    @property
    def finished(self) -> bool:
        """True for exited alone, whatever the code: the dictionary of 2009."""
        return self.outcome == "exited"


@dataclass(frozen=True)
class CmdAck(Word):
    """What arrived and is on disk.

    ``of`` is ``out``, ``err`` or ``stdin`` (all octets below ``offset``), ``signal`` (``signal_id`` was sent),
    ``results``, or ``session`` (``offset`` is the number of the session that a guest wrote down; cmd-id is "-").
    """

    WORD = "CMD_ACK"
    cmd_id: str = header("cmd-id", as_cmd_id)
    of: str = header("of", one_of((*STREAMS, "stdin", "signal", "results", "session")))
    offset: int = header("offset", as_count, default=0)
    signal_id: str = header("signal-id", as_text, default="")


@dataclass(frozen=True)
class Aint(Word):
    """Either way: what the receiver did not understand, and why. Never answered."""

    WORD = "AINT"
    about: str = body(as_text, default="")
    why: str = body(as_text, default="")


WORDS: dict[str, type[Word]] = {kind.WORD: kind for kind in Word.__subclasses__()}
WORDS.update(dict.fromkeys(CmdResults.ALIASES, CmdResults))


# -- saying and hearing

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def say(word: Word) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a word. ValueError when a header would grow past 4 KiB."""
    headers = {"word": word.WORD}
    said: dict[str, Any] = {}
    raw: bytes | None = None
    for slot in slots_of(type(word)):
        value = getattr(word, slot.name)
        if slot.header:
            headers[slot.wire] = to_header(value)
        elif slot.octets:
            raw = value
        else:
            said[slot.wire] = plain(value)
    if raw is None:
        raw = _JSON.encode(said).encode("utf-8", "surrogateescape")
    return headers, raw


def hear(headers: Mapping[str, str], body: bytes) -> Word:
    """The word that a frame's headers and body hold; NotAWord if there is none."""
    name = headers.get("word", "")
    kind = WORDS.get(name)
    if kind is None:
        raise NotAWord(f"{name[:40] or 'a frame without the header word'} is not a word")
    try:
        return build(kind, _said(kind, headers, body))  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise NotAWord(f"{name}: {error}") from None


#: Words that lead to a session, need none, or carry one of their own.
OUTSIDE_SESSIONS = (Hello, Welcome, Who, Bye, StillAlive, Ping, Pong, Aint, CmdRun)


def is_void(word: Word, said_in: int, now: int) -> bool:
    """The word was said in another session than the present one, and counts in none but its own."""
    return said_in != now and not isinstance(word, OUTSIDE_SESSIONS)


def session_of(headers: Mapping[str, str]) -> int:
    """The session that a frame was said in, 0 for none; NotAWord if that is no number."""
    text = headers.get(IN_SESSION, "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise NotAWord(f"{IN_SESSION} is not a number")
    return int(text)


def _said(kind: type[Word], headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """What a frame gives for each field, by the field's name on the wire, still to be checked."""
    slots = slots_of(kind)
    raw = next((slot for slot in slots if slot.octets), None)
    values = {raw.wire: body} if raw else _object(body)
    for slot in slots:
        if slot.header:
            values.pop(slot.wire, None)
            if slot.wire in headers:
                values[slot.wire] = from_header(slot, headers[slot.wire])
    return values


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    said = json.loads(body.decode("utf-8", "surrogateescape"))
    if not isinstance(said, dict):
        raise ValueError("the body is not a JSON object")
    return said
