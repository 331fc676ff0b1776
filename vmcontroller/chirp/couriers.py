"""Two ways to carry one file there or back, so that it is known to be whole at the other end.

The Sealed courier speaks our own verbs: a checksum follows the octets, small files go out many at once. The Plain one
does the same with nothing but Chirp: it asks for the file's hash, and renames a put file into place when that agrees.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import secrets
from io import FileIO
from pathlib import Path
from typing import Protocol

from vmcontroller.chirp.client import ChirpClient
from vmcontroller.chirp.local import Landing
from vmcontroller.chirp.meter import Meter
from vmcontroller.chirp.sentences import about
from vmcontroller.wire.chirp import EAGER, Checksum, ChirpError, Number, parse_number, request

#: Files on Windows have no such bit; there each may be a program, and its copy in the guest can be started.
EXECUTABLE = 0o111 if os.name == "nt" else 0


class Courier(Protocol):
    """Carries files; each may be under way still when the method returns, until the client has settled.

    Whatever fails is an error of ours that names the file, and the connection is of no further use.
    """

    def put(self, source: Path, remote: str) -> None:
        """Carry a file into the guest, with its permissions."""

    def get(self, remote: str, target: Path) -> None:
        """Carry a file out of the guest, with its permissions."""


def courier(client: ChirpClient, landing: Landing, meter: Meter) -> Courier:
    """The better one of those that the other side understands."""
    return (Sealed if client.ours else Plain)(client, landing, meter)


def _mode(status: os.stat_result) -> int:
    return status.st_mode & 0o777 | EXECUTABLE


class Sealed:
    """With the verbs deliver and fetch."""

    def __init__(self, client: ChirpClient, landing: Landing, meter: Meter) -> None:
        self._client = client
        self._landing = landing
        self._meter = meter

    def put(self, source: Path, remote: str) -> None:
        with about(source), open(source, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size <= EAGER:
                self._put_small(file.read(status.st_size), _mode(status), remote)
            else:
                self._put_large(file, status.st_size, _mode(status), remote)

    def _put_small(self, octets: bytes, mode: int, remote: str) -> None:
        checksum = Checksum()
        checksum.update(octets)
        line = request("deliver", remote, mode, len(octets))
        self._client.ask(line + octets + checksum.line(), lambda: self._hear_stored(remote, len(octets)))

    def _hear_stored(self, remote: str, octets: int) -> None:
        with about(remote):
            self._client.result()
        self._meter.moved(remote, octets)

    def _put_large(self, file: FileIO, size: int, mode: int, remote: str) -> None:
        checksum = Checksum()
        with about(remote):
            self._client.call("deliver", remote, mode, size)
            self._client.channel.send_body(size, file.readinto, checksum.update, self._meter.taker(remote))
            self._client.channel.say(checksum.line())
            self._client.result()

    def get(self, remote: str, target: Path) -> None:
        with about(remote):
            self._client.ask(request("fetch", remote), lambda: self._hear_file(remote, target))

    def _hear_file(self, remote: str, target: Path) -> None:
        channel, checksum = self._client.channel, Checksum()
        with about(remote):
            size, mode = self._client.result(), parse_number(channel.line())
            with self._landing.file(target, mode) as arrival:
                channel.receive_body(size, checksum.update, arrival.write, self._meter.taker(remote))
                if channel.line() + b"\n" != checksum.line():
                    raise ChirpError(Number.TRY_AGAIN)
                arrival.keep()


class Plain:
    """With the reference server's verbs alone, one file after the other."""

    def __init__(self, client: ChirpClient, landing: Landing, meter: Meter) -> None:
        self._client = client
        self._landing = landing
        self._meter = meter

    def put(self, source: Path, remote: str) -> None:
        temporary = posixpath.join(posixpath.dirname(remote), f".{secrets.token_hex(8)}.part")
        with about(remote), open(source, "rb", buffering=0) as file:
            try:
                self._put(file, temporary)
                self._client.call("rename", temporary, remote)
            except ChirpError:
                self._clean(temporary)
                raise

    def _put(self, file: FileIO, temporary: str) -> None:
        status, digest = os.fstat(file.fileno()), hashlib.sha1(usedforsecurity=False)
        self._client.call("putfile", temporary, _mode(status), status.st_size)
        takers = (digest.update, self._meter.taker(file.name))
        self._client.channel.send_body(status.st_size, file.readinto, *takers)
        self._client.result()
        self._compare(temporary, digest.digest())
        self._client.call("chmod", temporary, _mode(status))

    def _clean(self, temporary: str) -> None:
        try:
            self._client.call("unlink", temporary)
        except ChirpError:
            pass  # it never was there

    def get(self, remote: str, target: Path) -> None:
        digest = hashlib.sha1(usedforsecurity=False)
        with about(remote):
            mode = self._client.stat(remote).mode
            size = self._client.call("getfile", remote)
            with self._landing.file(target, mode) as arrival:
                self._client.channel.receive_body(size, digest.update, arrival.write, self._meter.taker(remote))
                self._compare(remote, digest.digest())
                arrival.keep()

    def _compare(self, remote: str, digest: bytes) -> None:
        if self._client.digest(remote) != digest:
            raise ChirpError(Number.TRY_AGAIN)
