"""Where output goes."""

from __future__ import annotations

import os

import pytest

from vmcontroller.cli.sinks import LONGEST_LINE, Descriptor, Kept, Labelled


def labelled(*pieces: bytes) -> bytes:
    kept = Kept()
    sink = Labelled("w1", kept.write)
    for piece in pieces:
        sink.write(piece)
    sink.end()
    return kept.whole


def test_each_line_has_its_label() -> None:
    """The last one gets its end if it lacks it."""
    assert labelled(b"a\n\nb") == b"w1: a\nw1: \nw1: b\n"


@pytest.mark.parametrize("at", range(12))
def test_lines_are_whole_wherever_they_were_split(at: int) -> None:
    """Octets that are no text, and carriage returns, stay as they are."""
    whole = b"a\xff\r\nbc\n\nend"
    assert labelled(whole[:at], whole[at:]) == labelled(whole)


def test_nothing_came_and_nothing_is_written() -> None:
    """A silent command has no lines."""
    assert labelled() == labelled(b"") == b""


def test_a_line_without_end_is_shown_in_pieces() -> None:
    """Memory is bounded."""
    piece = b"x" * LONGEST_LINE
    assert labelled(piece, b"y", b"z") == b"w1: " + piece + b"y\nw1: z\n"


def test_a_descriptor_gets_all_of_it() -> None:
    """Also what the kernel does not take at once."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(reader, "rb") as source, open(writer, "wb") as target:
        Descriptor(target.fileno()).write(b"\x00\xff\r\n" * 1000)
        assert source.read() == b"\x00\xff\r\n" * 1000
