"""The client against servers that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fileservers import client, guest_server, listening, scripted, vm_key
from vmcontroller.channel import Channel, Hangup
from vmcontroller.chirp.client import DEPTH, ChirpClient
from vmcontroller.errors import FileDenied, TransferFailed
from vmcontroller.wire.chirp import BrokenChirp, ChirpError, Number, request
from vmcontroller.wire.ticket import read_public_key

TICKET = read_public_key(vm_key().public).ticket.encode()


def connect(port: int, patience: float = 10) -> ChirpClient:
    """A client that has tried to log in; it is closed whatever came of it."""
    made = ChirpClient("127.0.0.1", port, vm_key().private, patience)
    try:
        made.connect()
    finally:
        made.close()
    return made


@pytest.mark.parametrize("length", [b"51", b"0", b"63", b"65", b"1024", b"x"])
def test_nothing_but_64_octets_is_signed(length: bytes) -> None:
    """A rogue server could otherwise have a certificate signed: 51 octets can be a SHA-256 and its name."""

    def rogue(channel: Channel) -> None:
        assert channel.line() == b"ticket"
        channel.say(b"yes\n")
        assert channel.line() == TICKET
        channel.say(length + b"\n" + b"x" * 1024)
        with pytest.raises(Hangup):
            channel.line()

    with listening(rogue) as port, pytest.raises(TransferFailed, match="asks to sign"):
        connect(port)


@pytest.mark.parametrize("word", [b"declined", b"failure"])
def test_both_words_for_an_unknown_key_are_understood(word: bytes) -> None:
    """The reference server has changed its word."""

    def stranger(channel: Channel) -> None:
        channel.line()
        channel.say(b"yes\n")
        channel.line()
        channel.say(word + b"\n")
        channel.flush()

    with listening(stranger) as port, pytest.raises(FileDenied, match="does not know"):
        connect(port)


def test_something_else_that_listens_is_told_apart() -> None:
    """A web server at that port, for instance."""

    def web(channel: Channel) -> None:
        channel.line()
        channel.say(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        channel.flush()

    with listening(web) as port, pytest.raises(FileDenied, match="is it a VM's file server"):
        connect(port)


def test_a_server_that_is_silent_is_given_up() -> None:
    """When patience ends."""

    def silent(channel: Channel) -> None:
        channel.line()
        channel.line()

    with listening(silent) as port, pytest.raises(Hangup, match="silent"):
        connect(port, patience=0.05)


def test_a_client_that_was_aborted_before_does_not_connect() -> None:
    """Cancelling may come at any time."""
    with listening(lambda channel: None) as port:
        made = ChirpClient("127.0.0.1", port, vm_key().private)
        made.abort()
        with pytest.raises(Hangup, match="cancelled"):
            made.connect()
        made.close()


def test_a_listing_that_is_broken_or_endless_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and garbage is not taken for a file."""
    monkeypatch.setattr("vmcontroller.chirp.client.MAX_ENTRIES", 10)
    stat = b" ".join([b"1"] * 13) + b"\n"
    for octets in (b"0\nname\nno stat\n", b"0\n" + (b"name\n" + stat) * 11, b"rubbish\n"):

        def talk(channel: Channel, octets: bytes = octets) -> None:
            channel.line()
            channel.say(octets)
            channel.flush()

        with scripted(talk) as port, client(port) as made, pytest.raises(BrokenChirp):
            made.list("/")


def test_many_requests_are_under_way_and_answered_in_order(tmp_path: Path) -> None:
    """More than may be outstanding; a refusal is raised where its answer is heard."""
    with guest_server(tmp_path) as port, client(port) as guest:
        heard: list[int] = []
        for _ in range(3 * DEPTH):
            guest.ask(request("whoami", 0), lambda: heard.append(guest.result()))
        guest.settle()
        assert heard == [0] * 3 * DEPTH
        guest.ask(request("stat", "/missing"), lambda: heard.append(guest.result()))
        with pytest.raises(ChirpError) as refused:
            guest.call("whoami", 0)
        assert refused.value.number is Number.DOESNT_EXIST
