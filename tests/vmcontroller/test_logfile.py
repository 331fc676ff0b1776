"""The daemon's log stays within bounds, whoever opened it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.house import house, wait_for
from vmcontroller.logfile import LARGEST, BoundedLog


class Log:
    """A log as a starter opens it, and the observer that writes to it."""

    def __init__(self, path: Path, flags: int = os.O_APPEND) -> None:
        self.path, self.past = path, path.with_name("daemon.log.1")
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)

    def write(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def observer(self, path: Path | None = None) -> BoundedLog:
        write: Any = lambda event: self.write(event["text"])  # noqa: E731
        return BoundedLog(write, self.descriptor, path or self.path)


@pytest.fixture(params=[os.O_APPEND, 0], ids=["appending", "writing"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Log]:
    log = Log(tmp_path / "daemon.log", request.param)
    yield log
    os.close(log.descriptor)


def test_while_it_runs(log: Log) -> None:
    """What is too large is put aside, and the log goes on from nothing; of the past one file is kept."""
    observe = log.observer()
    for text in ("first", "second", "third"):
        observe({"text": f"{text}\n" + "x" * LARGEST})
        observe({"text": "after\n"})
        assert log.past.read_text().endswith(f"{text}\n" + "x" * LARGEST)
        assert log.path.read_text() == "after\n"
    assert log.past.stat().st_mode & 0o777 == 0o600


def test_at_the_start(log: Log) -> None:
    """What earlier daemons left."""
    log.write("x" * (LARGEST + 1))
    log.observer()
    assert (log.path.stat().st_size, log.past.stat().st_size) == (0, LARGEST + 1)


def test_small(log: Log) -> None:
    """A log within its bounds is left as it is."""
    log.observer()({"text": "x" * LARGEST})
    assert (log.path.stat().st_size, log.past.exists()) == (LARGEST, False)


def test_not_ours(log: Log, tmp_path: Path) -> None:
    """Standard error that goes elsewhere is its owner's business."""
    other = tmp_path / "other.log"
    other.touch()
    for path in (other, tmp_path / "missing.log"):
        log.observer(path)({"text": "x" * (LARGEST + 1)})
    assert log.path.stat().st_size == 2 * (LARGEST + 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_no_room_for_the_past(log: Log) -> None:
    """Then it is dropped: the log must not grow all the same."""
    log.past.symlink_to("/dev/full")
    log.observer()({"text": "x" * (LARGEST + 1)})
    assert log.path.stat().st_size == 0
    assert not log.past.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="the process hypervisor needs Unix")
def test_of_a_daemon(tmp_path: Path) -> None:
    """A daemon that is started on a large log bounds it."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "daemon.log").write_bytes(b"x" * (LARGEST + 1))
    with house(state):
        wait_for(lambda: (state / "daemon.log").stat().st_size < LARGEST, "the log was not put aside")
        assert (state / "daemon.log.1").stat().st_size == LARGEST + 1
