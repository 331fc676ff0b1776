"""The words that host and guests say to each other, as values.

One message is one STOMP frame. Its header ``word`` names the class below; fields marked ``header`` travel
as headers, all others together as a JSON object in UTF-8, and a field marked ``octets`` is the raw body.
Header values are percent-encoded outside the safe characters, so that no name can forge a header.

``say(word)`` gives headers and body, ``hear(headers, body)`` gives the word back. What is heard comes from
a stranger: every field is checked, and NotAWord tells which one is wrong.

Who says what when, and what answers it: docs/reference/words.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar
from urllib.parse import quote, unquote

#: At most this many octets of a stream travel in one CMD_OUTPUT or CMD_STDIN, or inside CMD_RESULTS.
CHUNK = 64 * 1024
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

_SAFE = "!#$&'()*+,-./;<=>?@[]^_`{|}~ "
_CMD_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}\Z")
_MAX_HEADER = 4096


class NotAWord(ValueError):
    """What was heard is no word of ours; the text names the word and the field."""


# -- checks: each takes what JSON or a header gave and returns the field's value, or raises ValueError


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ValueError("is not a number")
    return float(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("is not a 64-bit integer")
    return value


def _count(value: Any) -> int:
    if _integer(value) < 0:
        raise ValueError("is negative")
    return int(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return str(value)

    return check


def _cmd_id(value: Any) -> str:
    if not isinstance(value, str) or not _CMD_ID.match(value):
        raise ValueError("is not a command id (1 to 64 of 0-9 A-Z a-z . _ -, not a dot first)")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("is not a list")
    return tuple(_text(item) for item in value)


def _map_of(key: Callable[[Any], str], item: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError("is not an object")
        return {key(k): item(v) for k, v in value.items()}

    return check


_texts_by_name = _map_of(_text, _text)
_numbers_by_name = _map_of(_text, _number)


def _record(kind: type[Any]) -> Callable[[Any], Any]:
    """A nested value: an object whose fields are those of a dataclass in this file."""

    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise ValueError("is not an object")
        return _build(kind, value)

    return check


# -- how a field is declared


def _body(check: Callable[[Any], Any], name: str | None = None, **kw: Any) -> Any:
    return field(metadata={"check": check, "json": name}, **kw)


def _header(name: str, check: Callable[[Any], Any], **kw: Any) -> Any:
    return field(metadata={"check": check, "header": name}, **kw)


def _octets() -> Any:
    return field(default=b"", metadata={"octets": True}, repr=False)


def _json_name(f: Any) -> str:
    return str(f.metadata.get("json") or f.name)


def _build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    found = {}
    for f in fields(kind):
        if _json_name(f) in values:
            found[f.name] = _checked(f, values[_json_name(f)])
    try:
        return kind(**found)
    except TypeError:
        missing = [_json_name(f) for f in fields(kind) if f.init and f.name not in found]
        raise ValueError(f"lacks {', '.join(missing)}") from None


def _checked(f: Any, value: Any) -> Any:
    try:
        return f.metadata["check"](value)
    except ValueError as error:
        raise ValueError(f"{f.metadata.get('header') or _json_name(f)} {error}") from None


def _plain(value: Any) -> Any:
    """The JSON form of a field's value."""
    if hasattr(value, "__dataclass_fields__"):
        return {_json_name(f): _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


# -- nested values


@dataclass(frozen=True)
class Limits:
    """What a command may use; 0 means as much as it likes.

    ``seconds`` of wall time (monotonic; afterwards the outcome is timedOut), ``cpuSeconds`` of processor
    time, ``memoryBytes`` of address space per process, ``outputBytes`` per stream. ``orphans`` says what
    becomes of processes that outlive the command: ``kill`` or ``leave``.
    """

    seconds: float = _body(_number, default=0.0)
    cpu_seconds: float = _body(_number, "cpuSeconds", default=0.0)
    memory_bytes: int = _body(_count, "memoryBytes", default=0)
    output_bytes: int = _body(_count, "outputBytes", default=0)
    orphans: str = _body(_one_of(("kill", "leave")), default="kill")


@dataclass(frozen=True)
class Stdin:
    """Where a command's input comes from.

    ``none``: it reads end-of-file at once. ``inline``: ``data`` (base64 of at most CHUNK octets).
    ``file``: ``name`` is a file in the guest's served directory, or absolute. ``stream``: CMD_STDIN brings it.
    """

    kind: str = _body(_one_of(("none", "inline", "file", "stream")), default="none")
    name: str = _body(_text, default="")
    data: str = _body(_text, default="")


@dataclass(frozen=True)
class CommandReport:
    """One command in HELLO: its state in the guest's journal and how many octets each stream has had.

    ``running`` (accepted, perhaps not yet started), ``finished`` (its result is in the journal) or ``dead``
    (the agent or machine restarted, its processes are gone; its result is ``lost``).
    """

    state: str = _body(_one_of(("running", "finished", "dead")))
    out: int = _body(_count, default=0)
    err: int = _body(_count, default=0)


@dataclass(frozen=True)
class Verdict:
    """What the host says in WELCOME of one command in HELLO.

    ``keep``: go on; the host has ``out`` and ``err`` octets of its streams and wants the rest and the result.
    ``forget``: the host has all it wants; free the bytes, keep the tombstone. ``foreign``: the host knows
    nothing of it; keep it and send nothing.
    """

    verdict: str = _body(_one_of(("keep", "forget", "foreign")))
    out: int = _body(_count, default=0)
    err: int = _body(_count, default=0)


@dataclass(frozen=True)
class StreamReport:
    """One stream of a finished command: its length in octets and its SHA-256 in hex ("" when unknown).

    If the whole stream is no longer than CHUNK it travels along: as ``text`` when it is UTF-8, else as
    ``base64``. A longer one has both empty and comes as CMD_OUTPUT.
    """

    length: int = _body(_count, default=0)
    sha256: str = _body(_text, default="")
    text: str = _body(_text, default="")
    base64: str = _body(_text, default="")

    @classmethod
    def of(cls, whole: bytes, sha256: str) -> StreamReport:
        """The report of a stream that is short enough to travel along."""
        try:
            return cls(len(whole), sha256, text=whole.decode("utf-8"))
        except UnicodeDecodeError:
            return cls(len(whole), sha256, base64=base64.b64encode(whole).decode("ascii"))

    def whole(self) -> bytes | None:
        """The stream itself if it came along, else None."""
        data = decode_octets(self.base64) if self.base64 else self.text.encode("utf-8", "surrogatepass")
        return data if len(data) == self.length else None


def limits_of(values: Mapping[str, Any]) -> Limits:
    """Limits from their JSON form; ValueError names the field that is wrong."""
    return _checked_record(Limits, values)  # type: ignore[no-any-return]


def stdin_of(values: Mapping[str, Any]) -> Stdin:
    """Stdin from its JSON form; ValueError names the field that is wrong."""
    return _checked_record(Stdin, values)  # type: ignore[no-any-return]


def _checked_record(kind: type[Any], values: Mapping[str, Any]) -> Any:
    unknown = set(values) - {_json_name(f) for f in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__.lower()} has no field {', '.join(sorted(unknown))}")
    return _build(kind, values)


def decode_octets(text: str) -> bytes:
    """Base64 to octets; ValueError when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None


# -- the words


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
    nonce: str = _header("nonce", _text)
    id: str = _body(_text)
    journal: str = _body(_text)
    session: int = _body(_count)
    name: str = _body(_text, default="")
    addresses: tuple[str, ...] = _body(_texts, default=())
    versions: Mapping[str, str] = _body(_texts_by_name, default_factory=dict)
    chirp_port: int = _body(_count, "chirpPort", default=0)
    commands: Mapping[str, CommandReport] = _body(_map_of(_cmd_id, _record(CommandReport)), default_factory=dict)

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
    session: int = _header("session", _count)
    nonce: str = _body(_text)
    proof: str = _body(_text)
    time: float = _body(_number)
    verdicts: Mapping[str, Verdict] = _body(_map_of(_cmd_id, _record(Verdict)), default_factory=dict)


@dataclass(frozen=True)
class Bye(Word):
    """Guest → host: I am leaving, and why."""

    WORD = "BYE"
    reason: str = _body(_text, default="")


@dataclass(frozen=True)
class StillAlive(Word):
    """Guest → host, every beacon interval.

    ``load`` are the three load averages, memory and disk are in octets, ``commands`` maps a running cmd-id
    to its live resources (RU_FIELDS and ``processes``).
    """

    WORD = "STILL_ALIVE"
    load: tuple[float, ...] = _body(lambda value: tuple(_number(item) for item in value), default=())
    memory: Mapping[str, float] = _body(_numbers_by_name, default_factory=dict)
    disk: Mapping[str, float] = _body(_numbers_by_name, default_factory=dict)
    commands: Mapping[str, Mapping[str, float]] = _body(_map_of(_cmd_id, _numbers_by_name), default_factory=dict)


@dataclass(frozen=True)
class Ping(Word):
    """Host → guest: answer at once. ``timestamp`` comes back as it went out."""

    WORD = "PING"
    ping_id: str = _header("ping-id", _text)
    timestamp: str = _header("timestamp", _text)


@dataclass(frozen=True)
class Pong(Word):
    """Guest → host: the answer to a PING."""

    WORD = "PONG"
    ping_id: str = _header("ping-id", _text)
    timestamp: str = _header("timestamp", _text)


@dataclass(frozen=True)
class CmdRun(Word):
    """Host → guest, or → all of a group: run this. Repeated until CMD_ACCEPTED.

    ``audience`` are the ids that it is meant for: a guest that is not among them ignores it. A guest whose
    own session is larger than ``session`` joined later and ignores it too. ``env`` is laid over the agent's
    own environment; ``path`` is the working directory ("" is the served directory).
    """

    WORD = "CMD_RUN"
    cmd_id: str = _header("cmd-id", _cmd_id)
    cmd: str = _header("cmd", _text)
    session: int = _header("session", _count)
    audience: tuple[str, ...] = _body(_texts)
    args: tuple[str, ...] = _body(_texts, default=())
    env: Mapping[str, str] = _body(_texts_by_name, default_factory=dict)
    path: str = _body(_text, default="")
    stdin: Stdin = _body(_record(Stdin), default=Stdin())
    limits: Limits = _body(_record(Limits), default=Limits())


@dataclass(frozen=True)
class CmdAccepted(Word):
    """Guest → host: the command stands in my journal."""

    WORD = "CMD_ACCEPTED"
    cmd_id: str = _header("cmd-id", _cmd_id)


@dataclass(frozen=True)
class CmdOutput(Word):
    """Guest → host: at most CHUNK octets of a stream, from ``offset`` on."""

    WORD = "CMD_OUTPUT"
    cmd_id: str = _header("cmd-id", _cmd_id)
    stream: str = _header("stream", _one_of(STREAMS))
    offset: int = _header("offset", _count)
    data: bytes = _octets()


@dataclass(frozen=True)
class CmdStdin(Word):
    """Host → guest: at most CHUNK octets of input, from ``offset`` on; ``eof`` when nothing follows them."""

    WORD = "CMD_STDIN"
    cmd_id: str = _header("cmd-id", _cmd_id)
    offset: int = _header("offset", _count)
    eof: bool = _header("eof", _flag)
    data: bytes = _octets()


@dataclass(frozen=True)
class CmdSignal(Word):
    """Host → guest: send a signal to the command's processes, once per signal-id. Repeated until CMD_ACK."""

    WORD = "CMD_SIGNAL"
    cmd_id: str = _header("cmd-id", _cmd_id)
    signal_id: str = _header("signal-id", _cmd_id)
    signal: int = _header("signal", _count)


@dataclass(frozen=True)
class CmdResults(Word):
    """Guest → host: how a command ended. Repeated until CMD_ACK of ``results``.

    ``exitCodeOrSignal`` is the exit code for exited, the signal's number for signalled and timedOut, else -1.
    ``reason`` says why in a sentence where the outcome alone does not; ``left`` counts the processes that
    outlived the command. ``started`` is the guest's clock in seconds since the epoch, ``seconds`` how long it ran.
    """

    WORD = "CMD_RESULTS"
    ALIASES: ClassVar[tuple[str, ...]] = ("CMD_RESULT",)
    cmd_id: str = _header("cmd-id", _cmd_id)
    outcome: str = _body(_one_of(OUTCOMES))
    exit_code_or_signal: int = _body(_integer, "exitCodeOrSignal", default=-1)
    reason: str = _body(_text, default="")
    left: int = _body(_count, default=0)
    resources: Mapping[str, float] = _body(_numbers_by_name, default_factory=dict)
    started: float = _body(_number, default=0.0)
    seconds: float = _body(_number, default=0.0)
    out: StreamReport = _body(_record(StreamReport), default=StreamReport())
    err: StreamReport = _body(_record(StreamReport), default=StreamReport())

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
    cmd_id: str = _header("cmd-id", _cmd_id)
    of: str = _header("of", _one_of((*STREAMS, "stdin", "signal", "results", "session")))
    offset: int = _header("offset", _count, default=0)
    signal_id: str = _header("signal-id", _text, default="")


@dataclass(frozen=True)
class Aint(Word):
    """Either way: what the receiver did not understand, and why. Never answered."""

    WORD = "AINT"
    about: str = _body(_text, default="")
    why: str = _body(_text, default="")


WORDS: dict[str, type[Word]] = {kind.WORD: kind for kind in Word.__subclasses__()}
WORDS.update(dict.fromkeys(CmdResults.ALIASES, CmdResults))


# -- saying and hearing


def say(word: Word) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a word. ValueError when a header would grow past 4 KiB."""
    headers = {"word": word.WORD}
    body: dict[str, Any] = {}
    octets: bytes | None = None
    for f in fields(word):
        value = getattr(word, f.name)
        if "header" in f.metadata:
            headers[f.metadata["header"]] = _encode(value)
        elif "octets" in f.metadata:
            octets = value
        else:
            body[_json_name(f)] = _plain(value)
    if octets is None:
        octets = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
    return headers, octets


def hear(headers: Mapping[str, str], body: bytes) -> Word:
    """The word that a frame's headers and body hold; NotAWord if there is none."""
    name = headers.get("word", "")
    kind = WORDS.get(name)
    if kind is None:
        raise NotAWord(f"{name[:40] or 'a frame without the header word'} is not a word")
    try:
        return _assemble(kind, headers, body)
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


def _assemble(kind: type[Word], headers: Mapping[str, str], body: bytes) -> Word:
    values: dict[str, Any] = {}
    raw = any("octets" in f.metadata for f in fields(kind))
    said = {} if raw else _object(body)
    for f in fields(kind):
        if "octets" in f.metadata:
            values[f.name] = body
        elif "header" in f.metadata:
            if f.metadata["header"] in headers:
                values[f.name] = _checked(f, _decode(f, headers[f.metadata["header"]]))
        elif _json_name(f) in said:
            values[f.name] = _checked(f, said[_json_name(f)])
    try:
        return kind(**values)
    except TypeError:
        wanted = {f.name: f.metadata.get("header") or _json_name(f) for f in fields(kind)}
        missing = [wire for name, wire in wanted.items() if name not in values]
        raise ValueError(f"lacks one of {', '.join(missing)}") from None


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    said = json.loads(body.decode("utf-8", "surrogateescape"))
    if not isinstance(said, dict):
        raise ValueError("the body is not a JSON object")
    return said


def _encode(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    safe = quote(text, safe=_SAFE, errors="surrogateescape")
    if len(safe) > _MAX_HEADER:
        raise ValueError(f"a header would be {len(safe)} octets long, {_MAX_HEADER} are allowed")
    return safe


def _decode(f: Any, text: str) -> Any:
    check = f.metadata["check"]
    if check in (_count, _integer):
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise ValueError(f"{f.metadata['header']} is not an integer")
        return int(text)
    if check is _flag:
        return {"true": True, "false": False}.get(text, text)
    return unquote(text, errors="surrogateescape")
