"""A connection to a guest's file server: the login, and requests one by one or many under way at once.

Blocking, for one thread; only abort() may be called from another. Raises ChirpError, Hangup, BrokenChirp and OSError
as they come; vmcontroller.chirp.sentences makes sentences of them.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from vmcontroller import chirpkeys
from vmcontroller.channel import Channel, Hangup
from vmcontroller.errors import FileDenied, TransferFailed
from vmcontroller.wire.chirp import OURS, BrokenChirp, ChirpError, Number, Stat, parse_stat, quote, request, result
from vmcontroller.wire.ticket import CHALLENGE, read_public_key

#: Seconds without an octet after which a transfer is given up.
PATIENCE = 120.0
#: Seconds to connect.
DIAL = 10.0
#: Requests under way before their answers are looked at.
DEPTH = 64
#: Names that one directory may have; a guest could list for ever.
MAX_ENTRIES = 1_000_000
#: Octets of a symbolic link's target.
MAX_TARGET = 1023


class ChirpClient:
    """Connects when connect() is called, and not before, so that abort() can find it at any time."""

    def __init__(self, host: str, port: int, private_key_pem: str, patience: float = PATIENCE) -> None:
        """``patience`` is how many seconds the guest may be silent."""
        self._address = (host, port)
        self._private_key_pem = private_key_pem
        self._patience = patience
        self._aborted = False
        self._channel: Channel | None = None
        self._asked: deque[Callable[[], None]] = deque()
        #: True when the other side knows our verbs deliver and fetch.
        self.ours = False

    # -- the connection

    def connect(self) -> None:
        """Connect and log in. FileDenied: the guest does not know the key; OSError: nobody answers."""
        self._channel = Channel(socket.create_connection(self._address, DIAL), self._patience)
        if self._aborted:
            raise Hangup("it was cancelled")
        self._login()
        self.ours = set(OURS) <= set(self._verbs())

    def abort(self) -> None:
        """Make whatever the client's thread waits for fail at once; from any thread, at any time."""
        self._aborted = True
        if self._channel is not None:
            self._channel.abort()

    def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            self._channel.close()

    @property
    def channel(self) -> Channel:
        """The connection itself, for the octets of files. Hangup: there is none."""
        if self._channel is None:
            raise Hangup("it is not connected")
        return self._channel

    # -- login

    def _login(self) -> None:
        channel = self.channel
        channel.say(b"ticket\n")
        if channel.line() != b"yes":
            raise FileDenied(f"{self._at}: what answers takes no key; is it a VM's file server?")
        self._prove(chirpkeys.load(self._private_key_pem))
        verdict, _type, _subject = channel.line(), channel.line(), channel.line()
        if verdict != b"yes":
            raise FileDenied(f"{self._at}: the VM's file server does not let the key in")

    def _prove(self, key: rsa.RSAPrivateKey) -> None:
        channel = self.channel
        ticket = read_public_key(chirpkeys.public_half(key)).ticket
        channel.say(ticket.encode() + b"\n")
        answer = channel.line()
        # The reference server says "declined" to an unknown key, and since June 2024 "failure".
        if answer in (b"declined", b"failure"):
            raise FileDenied(f"{self._at}: the VM's file server does not know this daemon's key")
        if answer != str(CHALLENGE).encode():
            raise TransferFailed(f"{self._at}: it asks to sign {answer[:20]!r} octets instead of {CHALLENGE}; refused")
        signature = key.sign(channel.octets(CHALLENGE), PKCS1v15(), NoDigestInfo())
        channel.say(b"%d\n%b" % (len(signature), signature))
        if channel.line() != b"success":
            raise FileDenied(f"{self._at}: the VM's file server does not accept this daemon's signature")

    @property
    def _at(self) -> str:
        return "{}:{}".format(*self._address)

    def _verbs(self) -> list[str]:
        try:
            self.call("verbs")
        except ChirpError:
            return []  # a server that is not ours
        return [line.decode("ascii", "replace") for line in iter(self.channel.line, b"")]

    # -- requests

    def call(self, verb: str, *arguments: str | int) -> int:
        """Make a request and wait for the number in its answer. ChirpError: it was refused."""
        self.settle()
        self.channel.say(request(verb, *arguments))
        return self.result()

    def result(self) -> int:
        """The number in the answer that comes next. ChirpError: it is a refusal."""
        return result(self.channel.line())

    def ask(self, octets: bytes, hear: Callable[[], None]) -> None:
        """Make a request without waiting; ``hear`` reads its answer later, at the latest in settle()."""
        self.channel.say(octets)
        self._asked.append(hear)
        if len(self._asked) >= DEPTH:
            self._settle(DEPTH // 2)

    def settle(self) -> None:
        """Hear every answer that is outstanding."""
        self._settle(0)

    def _settle(self, left: int) -> None:
        while len(self._asked) > left:
            self._asked.popleft()()

    # -- the plain verbs

    def stat(self, path: str) -> Stat:
        """What a file is; links are followed."""
        self.call("stat", path)
        return parse_stat(self.channel.line())

    def is_directory(self, path: str) -> bool:
        """Whether a directory is there."""
        try:
            return self.stat(path).is_directory()
        except ChirpError as refused:
            if refused.number in (Number.DOESNT_EXIST, Number.NOT_DIR):
                return False
            raise

    def list(self, path: str) -> list[tuple[str, Stat]]:
        """What lies in a directory, and what each is; links are not followed."""
        self.call("getlongdir", path)
        found: list[tuple[str, Stat]] = []
        while name := self.channel.line():
            found.append((name.decode("utf-8", "surrogateescape"), parse_stat(self.channel.line())))
            if len(found) > MAX_ENTRIES:
                raise BrokenChirp(f"it lists more than {MAX_ENTRIES} names")
        return [entry for entry in found if entry[0] not in (".", "..")]

    def make_directory(self, path: str, mode: int) -> None:
        """Make a directory, unless one is there."""
        try:
            self.call("mkdir", path, mode)
        except ChirpError as refused:
            if refused.number is not Number.ALREADY_EXISTS or not self.is_directory(path):
                raise

    def make_link(self, target: str, path: str) -> None:
        """Make a symbolic link; a file or link that stands there is replaced.

        The reference server does not decode a target, so that one which must be quoted would be garbled there.
        """
        if not self.ours and quote(target) != target:
            raise ChirpError(Number.NOT_SUPPORTED)
        try:
            self.call("symlink", target, path)
        except ChirpError as refused:
            if refused.number is not Number.ALREADY_EXISTS:
                raise
            self.call("unlink", path)
            self.call("symlink", target, path)

    def read_link(self, path: str) -> str:
        """Where a symbolic link points."""
        return self.channel.octets(self.call("readlink", path, MAX_TARGET)).decode("utf-8", "surrogateescape")

    def digest(self, path: str) -> bytes:
        """The SHA-1 of a file, as the other side reads it."""
        return self.channel.octets(self.call("hash", "sha1", path))
