"""Chirp's lines as values: requests, replies, quoted names, stat lines and error numbers.

A request is one line, ``verb argument …``, and for some verbs octets after it. The reply is one line with a number:
below zero it is an error and nothing follows. docs/reference/files.md has the verbs and who sends octets when.

Two verbs are ours, DELIVER and FETCH: a whole file with a checksum behind it, so that one pass over the octets is
enough to move and to verify them. A server that has them names them when it is asked VERBS; any other answers that
it knows no such verb, and is spoken to in plain Chirp.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zlib
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple

#: The longest line with its line feed; the reference server closes the connection on a longer one.
MAX_LINE = 1023
#: At most this many octets are read or written by one pread or pwrite.
MAX_DATA = 16 * 1024 * 1024
#: A delivered file of at most this many octets follows its line at once; a larger one waits for the go-ahead.
EAGER = 64 * 1024
#: Names that begin like this are the server's own: never listed, never served.
HIDDEN = ".__"


class Number(IntEnum):
    """Why a request was refused."""

    NOT_AUTHENTICATED = -1
    NOT_AUTHORIZED = -2
    DOESNT_EXIST = -3
    ALREADY_EXISTS = -4
    TOO_BIG = -5
    NO_SPACE = -6
    NO_MEMORY = -7
    INVALID_REQUEST = -8
    TOO_MANY_OPEN = -9
    BUSY = -10
    TRY_AGAIN = -11
    BAD_FD = -12
    IS_DIR = -13
    NOT_DIR = -14
    NOT_EMPTY = -15
    CROSS_DEVICE_LINK = -16
    OFFLINE = -17
    TIMED_OUT = -18
    DISCONNECTED = -19
    GRP_UNREACHABLE = -20
    NO_SUCH_JOB = -21
    IS_A_PIPE = -22
    NOT_SUPPORTED = -23
    NAME_TOO_LONG = -24
    UNKNOWN = -127


class ChirpError(Exception):
    """A request is refused; ``number`` says why."""

    def __init__(self, number: Number) -> None:
        super().__init__(number.name.lower().replace("_", " "))
        self.number = number


class BrokenChirp(ValueError):
    """What came is not Chirp: the connection is of no further use."""


_NUMBERS = {
    errno.EACCES: Number.NOT_AUTHORIZED,
    errno.EPERM: Number.NOT_AUTHORIZED,
    errno.EROFS: Number.NOT_AUTHORIZED,
    errno.ELOOP: Number.NOT_AUTHORIZED,
    errno.ENOENT: Number.DOESNT_EXIST,
    errno.EEXIST: Number.ALREADY_EXISTS,
    errno.EFBIG: Number.TOO_BIG,
    errno.ENOSPC: Number.NO_SPACE,
    errno.EDQUOT: Number.NO_SPACE,
    errno.ENOMEM: Number.NO_MEMORY,
    errno.EINVAL: Number.INVALID_REQUEST,
    errno.ENOSYS: Number.INVALID_REQUEST,
    errno.EMFILE: Number.TOO_MANY_OPEN,
    errno.ENFILE: Number.TOO_MANY_OPEN,
    errno.EBUSY: Number.BUSY,
    errno.EAGAIN: Number.TRY_AGAIN,
    errno.EBADF: Number.BAD_FD,
    errno.EISDIR: Number.IS_DIR,
    errno.ENOTDIR: Number.NOT_DIR,
    errno.ENOTEMPTY: Number.NOT_EMPTY,
    errno.EXDEV: Number.CROSS_DEVICE_LINK,
    errno.ESPIPE: Number.IS_A_PIPE,
    errno.ENXIO: Number.IS_A_PIPE,
    errno.EOPNOTSUPP: Number.NOT_SUPPORTED,
    errno.ENAMETOOLONG: Number.NAME_TOO_LONG,
}


def number_of(error: OSError) -> Number:
    """The number that tells the other side what the operating system said."""
    return _NUMBERS.get(error.errno or 0, Number.UNKNOWN)


# -- names

_QUOTED = [chr(c) if 0x21 <= c <= 0x7A and chr(c) not in "%\\<>'\"" else f"%{c:02X}" for c in range(256)]
_PLAIN = re.compile(r"[!#$&(-;=?-\[\]-z]+\Z")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_FORBIDDEN = re.compile(r"[\0\r\n]")


def quote(name: str) -> str:
    """A name as it travels: every octet of its UTF-8 that is not plain as ``%XX``."""
    if _PLAIN.match(name):
        return name
    return "".join(_QUOTED[octet] for octet in name.encode("utf-8", "surrogateescape"))


def unquote(token: bytes) -> str:
    """The name that travelled as ``token``.

    ChirpError: a ``%`` without two digits, or a NUL, CR or LF in the name. A NUL would cut the name short in C,
    and a directory that held the others could not be listed, because listings are not quoted.
    """
    name = _ESCAPE.sub(_octet, token).decode("utf-8", "surrogateescape")
    if _FORBIDDEN.search(name):
        raise ChirpError(Number.INVALID_REQUEST)
    return name


def _octet(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise ChirpError(Number.INVALID_REQUEST)
    return bytes((int(escape[1], 16),))


def listed(name: str) -> bytes:
    """A name as it stands in a listing, where a line break in it becomes a question mark, as ls shows it."""
    return _FORBIDDEN.sub("?", name).encode("utf-8", "surrogateescape")


# -- requests


class Kind(Enum):
    """What an argument is."""

    NAME = "name"
    COUNT = "count"
    SIGNED = "signed"


_NAME, _COUNT, _SIGNED = Kind.NAME, Kind.COUNT, Kind.SIGNED

#: Every verb that is understood, with its arguments. What is not here is refused as the reference server refuses it.
VERBS: dict[str, tuple[Kind, ...]] = {
    "access": (_NAME, _COUNT),
    "chmod": (_NAME, _COUNT),
    "close": (_COUNT,),
    "deliver": (_NAME, _COUNT, _COUNT),
    "fetch": (_NAME,),
    "fstat": (_COUNT,),
    "fsync": (_COUNT,),
    "ftruncate": (_COUNT, _COUNT),
    "getdir": (_NAME,),
    "getfile": (_NAME,),
    "getlongdir": (_NAME,),
    "hash": (_NAME, _NAME),
    "lstat": (_NAME,),
    "md5": (_NAME,),
    "mkdir": (_NAME, _COUNT),
    "open": (_NAME, _NAME, _COUNT),
    "pread": (_COUNT, _COUNT, _COUNT),
    "putfile": (_NAME, _COUNT, _COUNT),
    "pwrite": (_COUNT, _COUNT, _COUNT),
    "readlink": (_NAME, _COUNT),
    "rename": (_NAME, _NAME),
    "rmall": (_NAME,),
    "rmdir": (_NAME,),
    "stat": (_NAME,),
    "statfs": (_NAME,),
    "symlink": (_NAME, _NAME),
    "truncate": (_NAME, _COUNT),
    "unlink": (_NAME,),
    "utime": (_NAME, _SIGNED, _SIGNED),
    "verbs": (),
    "whoami": (_COUNT,),
}

#: The verbs that only our server has, as it names them when it is asked ``verbs``.
OURS = ("deliver", "fetch")


class Request(NamedTuple):
    """A verb and its arguments, each of the kind that VERBS says."""

    verb: str
    arguments: tuple[str | int, ...]


def request(verb: str, *arguments: str | int) -> bytes:
    """The line of a request. ChirpError: it would be too long."""
    words = (str(a) if isinstance(a, int) else quote(a) for a in arguments)
    line = " ".join((verb, *words)).encode("ascii") + b"\n"
    if len(line) > MAX_LINE:
        raise ChirpError(Number.NAME_TOO_LONG)
    return line


def parse_request(line: bytes) -> Request:
    """The request in a line without its line feed. ChirpError: unknown verb, wrong number or kind of arguments."""
    verb, *words = line.split()
    kinds = VERBS.get(verb.decode("ascii", "replace"))
    if kinds is None or len(kinds) != len(words):
        raise ChirpError(Number.INVALID_REQUEST)
    return Request(verb.decode("ascii"), tuple(_argument(k, w) for k, w in zip(kinds, words, strict=True)))


_INTEGER = re.compile(rb"-?[0-9]{1,19}\Z")


def _argument(kind: Kind, word: bytes) -> str | int:
    if kind is Kind.NAME:
        return unquote(word)
    number = parse_number(word)
    if number < 0 and kind is Kind.COUNT:
        raise ChirpError(Number.INVALID_REQUEST)
    return number


def parse_number(word: bytes) -> int:
    """A signed 64-bit integer in decimal. ChirpError when it is none."""
    if not _INTEGER.match(word) or not -(2**63) <= (number := int(word)) < 2**63:
        raise ChirpError(Number.INVALID_REQUEST)
    return number


# -- replies


def reply(number: int, payload: bytes = b"") -> bytes:
    """A reply's line, and what follows it."""
    return b"%d\n%b" % (number, payload)


def result(line: bytes) -> int:
    """The number of a reply. ChirpError: it is an error. BrokenChirp: it is no number."""
    try:
        number = parse_number(line)
    except ChirpError:
        raise BrokenChirp(f"a reply is {line[:40]!r} instead of a number") from None
    if number < 0:
        raise ChirpError(Number(number) if number in _KNOWN else Number.UNKNOWN)
    return number


_KNOWN = frozenset(Number)


class Stat(NamedTuple):
    """The 13 numbers of a stat line. Times are seconds since 1970."""

    dev: int
    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    blksize: int
    blocks: int
    atime: int
    mtime: int
    ctime: int

    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    def line(self) -> bytes:
        """As it travels, with its line feed."""
        return " ".join(map(str, self)).encode("ascii") + b"\n"


def stat_of(status: os.stat_result) -> Stat:
    """What the operating system says of a file; what it does not know (Windows) is 0."""
    return Stat(*(int(getattr(status, f"st_{name}", 0)) for name in Stat._fields))


def parse_stat(line: bytes) -> Stat:
    """The numbers in a stat line. BrokenChirp when it is none."""
    try:
        return Stat(*map(int, line.split()))
    except (ValueError, TypeError):
        raise BrokenChirp(f"a stat line is {line[:80]!r}") from None


# -- octets


class Checksum:
    """CRC-32 (ISO 3309) of what passes by: what DELIVER and FETCH put behind a file, in decimal."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, octets: bytes | memoryview) -> None:
        """Take the next octets."""
        self.value = zlib.crc32(octets, self.value)

    def line(self) -> bytes:
        """As it travels, with its line feed."""
        return b"%d\n" % self.value


@dataclass
class Inbox:
    """What has arrived and was not taken yet; lines and counted octets are taken from it in turn."""

    _octets: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self._octets)

    def feed(self, octets: bytes | memoryview) -> None:
        """Put in what arrived."""
        self._octets += octets

    def line(self) -> bytes | None:
        """The next line without its line feed and carriage returns, or None while it is not whole.

        BrokenChirp: it is longer than MAX_LINE.
        """
        end = self._octets.find(b"\n", 0, MAX_LINE)
        if end < 0:
            if len(self._octets) >= MAX_LINE:
                raise BrokenChirp(f"a line is longer than {MAX_LINE} octets")
            return None
        line = bytes(self._octets[:end])
        del self._octets[: end + 1]
        return line.replace(b"\r", b"") if b"\r" in line else line

    def take(self, count: int) -> bytes:
        """At most ``count`` octets, as many as there are."""
        octets = bytes(self._octets[:count])
        del self._octets[:count]
        return octets
