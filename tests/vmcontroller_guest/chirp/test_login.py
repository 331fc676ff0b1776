"""Who gets in: whoever holds the VM's key, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from tests.fileservers import client, guest_server, listening, other_key, raw_client, vm_key
from vmcontroller import chirpkeys
from vmcontroller.channel import Channel, Hangup
from vmcontroller.errors import FileDenied
from vmcontroller.wire.ticket import CHALLENGE, read_public_key
from vmcontroller_guest.chirp import login

TICKET = read_public_key(vm_key().public).ticket.encode()


def sign(challenge: bytes, key: chirpkeys.ChirpKey) -> bytes:
    """The signature as it travels, behind its length."""
    signature = chirpkeys.load(key.private).sign(challenge, PKCS1v15(), NoDigestInfo())
    return b"%d\n%b" % (len(signature), signature)


def ask(channel: Channel, *lines: bytes) -> list[bytes]:
    """The line that answers each of these lines."""
    answers = []
    for line in lines:
        channel.say(line + b"\n")
        answers.append(channel.line())
    return answers


def read_all(channel: Channel) -> None:
    """Until the other side hangs up."""
    while channel.line():
        pass


def test_defect_06_nobody_gets_in_without_the_key(tmp_path: Path) -> None:
    """The files of 2009 were open to every address (``address:* rwl``); now every method but the ticket is refused."""
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        methods = (b"address", b"hostname", b"unix", b"kerberos", b"globus", b"", b"TICKET")
        assert ask(channel, *methods) == [b"no"] * 7


def test_defect_06_nothing_is_served_before_the_login(tmp_path: Path) -> None:
    """A request is taken for the name of a method."""
    (tmp_path / "file").write_text("x")
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        requests = (b"getfile /file", b"stat /file", b"getdir /", b"getacl /", b"unlink /file")
        assert ask(channel, *requests) == [b"no"] * 5
    assert (tmp_path / "file").exists()


def test_the_holder_of_the_key_gets_in(tmp_path: Path) -> None:
    """After a wrong ticket, too; it is told who it is."""
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        assert ask(channel, b"ticket", b"0" * 32, TICKET) == [b"yes", b"declined", b"64"]
        channel.say(sign(channel.octets(CHALLENGE), vm_key()))
        assert [channel.line() for _ in range(4)] == [b"success", b"yes", b"ticket", TICKET]
        assert ask(channel, b"whoami 100") == [b"39"]
        assert channel.octets(39) == b"ticket:" + TICKET


def test_another_key_does_not_get_in(tmp_path: Path) -> None:
    """The sentence says why."""
    refused = pytest.raises(FileDenied, match="does not know this daemon's key")
    with guest_server(tmp_path) as port, refused, client(port, other_key()):
        pass


def test_a_wrong_signature_does_not_get_in(tmp_path: Path) -> None:
    """Knowing the ticket's id is not enough; every challenge is another."""
    challenges = set()
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        assert ask(channel, b"ticket") == [b"yes"]
        for _ in range(2):
            assert ask(channel, TICKET) == [b"64"]
            challenges.add(channel.octets(CHALLENGE))
            channel.say(sign(b"x" * CHALLENGE, vm_key()))
            assert channel.line() == b"failure"
        assert ask(channel, b"==\naddress") == [b"no"]
    assert len(challenges) == 2


@pytest.mark.parametrize("length", [b"0", b"-1", b"1025", b"99999999999", b"x", b""])
def test_a_signature_of_no_sensible_length_is_refused(tmp_path: Path, length: bytes) -> None:
    """Nothing of it is kept in memory."""
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        assert ask(channel, b"ticket", TICKET) == [b"yes", b"64"]
        channel.octets(CHALLENGE)
        channel.say(length + b"\n")
        with pytest.raises(Hangup):
            channel.line()


def test_without_a_public_key_nobody_gets_in(tmp_path: Path) -> None:
    """An agent without a seed serves no files."""
    with guest_server(tmp_path, public="") as port, pytest.raises(FileDenied, match="takes no key"), client(port):
        pass


@pytest.mark.parametrize("octets", [b"x" * 5000, b"\0" * 5000, b"no\n" * 1000, b"ticket\n" + b"x\n" * 1000])
def test_garbage_is_hung_up_on(tmp_path: Path, octets: bytes) -> None:
    """A line without end, or guessing without end."""
    with guest_server(tmp_path) as port, raw_client(port) as channel:
        channel.say(octets)
        with pytest.raises(Hangup):
            read_all(channel)


def test_a_login_must_be_done_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busily somebody talks, or does not."""
    monkeypatch.setattr(login, "TIME", 0.2)
    key = read_public_key(vm_key().public)
    serving = listening(lambda channel: login.login(channel, key) and None)
    with serving as port, raw_client(port) as channel, pytest.raises(Hangup):
        channel.line()
