"""The verbs on parts of open files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmcontroller.channel import Channel
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.wire.chirp import MAX_DATA, ChirpError, Number, parse_stat
from vmcontroller_guest.chirp.parts import OPEN_FILES


def refusal(guest: ChirpClient, verb: str, *arguments: str | int) -> Number:
    """The number with which a request is refused."""
    with pytest.raises(ChirpError) as refused:
        guest.call(verb, *arguments)
    return refused.value.number


def opened(guest: ChirpClient, path: str, letters: str) -> int:
    """The number of an opened file."""
    number = guest.call("open", path, letters, 0o644)
    assert parse_stat(guest.channel.line()).is_file()
    return number


def test_a_file_is_written_and_read_in_parts(guest: ChirpClient, root: Path) -> None:
    """At any offset, with the octets right behind the line."""
    fd = opened(guest, "/f", "rwc")
    guest.channel.say(b"pwrite %d 3 4\nabcpwrite %d 2 0\nxy" % (fd, fd))
    assert [guest.result(), guest.result()] == [3, 2]
    guest.call("fsync", fd)
    assert guest.channel.octets(guest.call("pread", fd, 100, 1)) == b"y\0\0abc"
    assert guest.call("pread", fd, 100, 7) == 0
    assert guest.call("pread", fd, 100, 700) == 0
    guest.call("ftruncate", fd, 1)
    guest.call("fstat", fd)
    assert parse_stat(guest.channel.line()).size == 1
    guest.call("close", fd)
    assert (root / "f").read_bytes() == b"x"


def test_letters_say_how_a_file_is_opened(guest: ChirpClient, root: Path) -> None:
    """Created, truncated, exclusively."""
    assert refusal(guest, "open", "/f", "rw", 0o644) is Number.DOESNT_EXIST
    opened(guest, "/f", "wc")
    (root / "f").write_text("old")
    assert refusal(guest, "open", "/f", "wcx", 0o644) is Number.ALREADY_EXISTS
    opened(guest, "/f", "wt")
    assert (root / "f").read_text() == ""
    assert refusal(guest, "open", "/f", "wz", 0o644) is Number.INVALID_REQUEST
    assert refusal(guest, "open", "/f", "c", 0o644) is Number.INVALID_REQUEST


def test_what_cannot_be_written_is_taken_off_the_wire(guest: ChirpClient, root: Path) -> None:
    """A wrong number, or a file opened for reading: the next request is found."""
    (root / "f").write_text("old")
    fd = opened(guest, "/f", "r")
    guest.channel.say(b"pwrite %d 14 0\nunlink /f\nxxxxpwrite 99 14 0\nunlink /f\nxxxxwhoami 6\n" % fd)
    assert [guest.channel.line() for _ in range(3)] == [b"%d" % Number.BAD_FD, b"%d" % Number.BAD_FD, b"6"]
    assert (root / "f").read_text() == "old"


def test_what_was_opened_for_writing_is_not_read(guest: ChirpClient) -> None:
    """It is told before any length."""
    assert refusal(guest, "pread", opened(guest, "/f", "wc"), 10, 0) is Number.BAD_FD


def test_more_than_sixteen_megabytes_are_not_written_at_once(guest: ChirpClient, root: Path) -> None:
    """The rest is taken off the wire."""
    fd = opened(guest, "/f", "wc")
    guest.channel.say(b"pwrite %d %d 0\n" % (fd, MAX_DATA + 5) + bytes(MAX_DATA + 5))
    assert guest.result() == MAX_DATA
    assert guest.call("whoami", 6) == 6


def test_numbers_are_used_again_and_bounded(guest: ChirpClient, root: Path) -> None:
    """The lowest free one comes first."""
    (root / "f").write_text("")
    assert [opened(guest, "/f", "r") for _ in range(OPEN_FILES)] == list(range(OPEN_FILES))
    assert refusal(guest, "open", "/f", "r", 0) is Number.TOO_MANY_OPEN
    guest.call("close", 5)
    assert refusal(guest, "close", 5) is Number.BAD_FD
    assert opened(guest, "/f", "r") == 5


def test_only_files_are_opened(guest: ChirpClient, channel: Channel, root: Path) -> None:
    """No directory, and no pipe, which would make the server wait."""
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    assert refusal(guest, "open", "/pipe", "r", 0) is Number.IS_A_PIPE
    assert refusal(guest, "open", "/pipe", "w", 0) is Number.IS_A_PIPE
    assert refusal(guest, "open", "/directory", "r", 0) is Number.IS_DIR
