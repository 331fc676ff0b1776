"""File servers to test against: the guest's own, in threads or as a process, and whatever a test makes up."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vmcontroller import chirpkeys
from vmcontroller.channel import Channel, Hangup
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.wire.ticket import read_public_key
from vmcontroller_guest.chirp.login import login
from vmcontroller_guest.chirp.served import ServedFiles
from vmcontroller_guest.chirp.session import Session

PATIENCE = 20.0


@functools.cache
def vm_key() -> chirpkeys.ChirpKey:
    """A key for all tests; making one takes a while."""
    return chirpkeys.make()


@functools.cache
def other_key() -> chirpkeys.ChirpKey:
    """Somebody else's key."""
    return chirpkeys.make()


@contextmanager
def listening(talk: Callable[[Channel], None]) -> Iterator[int]:
    """Yields the port of a server that lets ``talk`` talk to each client, in a thread; ends them all."""
    listener = socket.create_server(("127.0.0.1", 0))
    channels: list[Channel] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                channel = Channel(listener.accept()[0], PATIENCE)
            except OSError:
                return
            channels.append(channel)
            threads.append(threading.Thread(target=_talk, args=(talk, channel)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()
        for channel in channels:
            channel.abort()
        for thread in threads:
            thread.join()


def _talk(talk: Callable[[Channel], None], channel: Channel) -> None:
    try:
        talk(channel)
    except Hangup:
        pass
    finally:
        channel.close()


@contextmanager
def guest_server(root: Path, public: str | None = None) -> Iterator[int]:
    """Yields the port of the guest's server; with ``public`` "" it lets nobody in."""
    pem = vm_key().public if public is None else public
    key = read_public_key(pem) if pem else None
    with listening(lambda channel: Session(channel, key, ServedFiles(root)).serve()) as port:
        yield port


@contextmanager
def client(port: int, key: chirpkeys.ChirpKey | None = None) -> Iterator[ChirpClient]:
    """Yields a client that has logged in."""
    made = ChirpClient("127.0.0.1", port, (key or vm_key()).private, PATIENCE)
    try:
        made.connect()
        yield made
    finally:
        made.close()


@contextmanager
def raw_client(port: int) -> Iterator[Channel]:
    """Yields a connection on which nothing was said yet."""
    channel = Channel(socket.create_connection(("127.0.0.1", port), PATIENCE), PATIENCE)
    try:
        yield channel
    finally:
        channel.close()


@contextmanager
def guest_process(root: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yields the guest's server as a process of its own, and its port."""
    (scratch / "public.pem").write_text(vm_key().public)
    command = [sys.executable, "-m", "tests.guest_fileserver", str(root), str(scratch / "public.pem")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def scripted(talk: Callable[[Channel], None]) -> Iterator[int]:
    """Yields the port of a server that lets everybody with the key in, names our verbs, and then does as told."""
    key = read_public_key(vm_key().public)

    def serve(channel: Channel) -> None:
        assert login(channel, key)
        assert channel.line() == b"verbs"
        channel.say(b"0\ndeliver\nfetch\n\n")
        talk(channel)

    with listening(serve) as port:
        yield port
