"""A stream when the disk is full: nothing is lost, the program waits."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from vmcontroller.wire.words import CHUNK
from vmcontroller_guest.spool import Spool
from vmcontroller_guest.stream import RETRY, OutStream


class FullSpool(Spool):
    """On a disk that has room for so many octets."""

    room = 1 << 40

    def append(self, data: bytes | bytearray) -> None:
        fits = bytes(data[: self.room])
        self.room -= len(fits)
        super().append(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[FullSpool]:
    made = FullSpool(tmp_path, "c1.out")
    yield made
    made.close()


def test_a_full_disk_slows_the_program(spool: FullSpool) -> None:
    """What does not fit is kept until it does; the stream is full meanwhile, and empties when there is room."""
    clock, sent, emptied = Clock(), bytearray(), []
    stream = OutStream(clock, spool, lambda offset, data: sent.extend(data), lambda: True, lambda: emptied.append(1))
    spool.room = CHUNK + 1000
    for _ in range(6):
        stream.take(b"x" * CHUNK)
    assert stream.full
    assert (len(sent), stream.length) == (CHUNK + 1000, 6 * CHUNK)
    emptied.clear()
    clock.advance(RETRY)
    assert not emptied
    spool.room = 1 << 40
    clock.advance(RETRY)
    assert emptied
    assert not stream.full
    assert sent == b"x" * 6 * CHUNK
    assert stream.report().sha256 == hashlib.sha256(sent).hexdigest()


def test_a_report_waits_for_the_disk(spool: FullSpool) -> None:
    """A long stream whose end is not on the disk has no report yet; asked again later it has one."""
    stream = OutStream(Clock(), spool, lambda offset, data: None, lambda: False, lambda: None)
    spool.room = CHUNK
    for _ in range(2):
        stream.take(b"x" * CHUNK)
    with pytest.raises(OSError, match="No space"):
        stream.report()
    spool.room = 1 << 40
    assert stream.report().length == 2 * CHUNK


def test_a_confirmation_after_a_stall_counts(spool: FullSpool) -> None:
    """It was late, and what it confirms is not sent a third time."""
    clock, sent, may = Clock(), [], [True]
    stream = OutStream(clock, spool, lambda offset, data: sent.append(offset), lambda: may[0], lambda: None)
    stream.take(b"0123456789")
    clock.advance(0.02)
    may[0] = False
    clock.advance(5)
    stream.confirm(10)
    may[0] = True
    stream.pump()
    assert sent == [0]
    assert stream.all_sent
