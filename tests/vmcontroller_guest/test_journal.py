"""What the guest writes down, and finds again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vmcontroller.errors import StateDirectoryUnusable
from vmcontroller.wire.words import CmdResults, StreamReport
from vmcontroller_guest.interfaces import Remains
from vmcontroller_guest.journal import DEAD, FORGOTTEN, Journal, JournalFailed
from vmcontroller_guest.spool import SEGMENT


def test_a_command_through_its_states(tmp_path: Path) -> None:
    """Each step is there after a restart."""
    results = CmdResults("c1", "exited", 3, out=StreamReport.of(b"\xff", "sum"), resources={"ru_utime": 0.25})
    journal = Journal(tmp_path)
    assert journal.find("c1") is None
    journal.accept("c1", 1000.5)
    journal.note_process("c1", 77, "its birth")
    journal.close()
    journal = Journal(tmp_path)
    assert journal.remains() == [Remains("c1", 77, "its birth")]
    journal.finish(results)
    journal.close()
    journal = Journal(tmp_path)
    assert journal.remains() == []
    assert journal.results("c1") == results
    assert [(entry.state, entry.outcome, entry.out) for entry in journal.living()] == [("finished", "exited", 1)]
    journal.forget("c1")
    journal.close()
    journal = Journal(tmp_path)
    assert journal.living() == []
    entry = journal.find("c1")
    assert entry is not None
    assert (entry.state, entry.outcome) == (FORGOTTEN, "exited")
    journal.close()


def test_dead_is_a_state_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.accept("c1", 1.0)
    journal.finish(CmdResults("c1", "lost"), DEAD)
    assert [entry.state for entry in journal.living()] == ["dead"]
    journal.close()


def test_the_session_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = journal.id
    journal.begin_session(2**40)
    journal.close()
    journal = Journal(tmp_path)
    assert (journal.id, journal.session) == (first, 2**40)
    journal.close()


def test_a_copy_of_the_directory_is_the_moment_of_the_copy(tmp_path: Path) -> None:
    """As a snapshot of the disk is, also while the agent runs."""
    journal = Journal(tmp_path / "one")
    journal.accept("c1", 1.0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    journal.accept("c2", 1.0)
    copy = Journal(tmp_path / "two")
    assert [entry.cmd_id for entry in copy.living()] == ["c1"]
    copy.close()
    journal.close()


def test_one_agent_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(StateDirectoryUnusable, match="in use by another agent"):
        Journal(tmp_path)
    journal.close()


@pytest.mark.parametrize("obstacle", ["file", "garbage"])
def test_an_unusable_directory_is_told_in_a_sentence(tmp_path: Path, obstacle: str) -> None:
    state = tmp_path / "state"
    if obstacle == "file":
        state.write_text("in the way")
    else:
        state.mkdir()
        (state / "journal.db").write_text("this is no database, and long enough to be seen as none" * 100)
    with pytest.raises(StateDirectoryUnusable, match="cannot hold the agent's journal"):
        Journal(state)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """JournalFailed, and the entry is as it was; later it goes on."""
    journal = Journal(tmp_path)
    journal.accept("c1", 1.0)
    journal._db.execute("PRAGMA max_page_count = 1")
    big = CmdResults("c1", "exited", 0, out=StreamReport(60000, "", text="x" * 60000))
    with pytest.raises(JournalFailed, match="make room"):
        journal.finish(big)
    assert [entry.state for entry in journal.living()] == ["running"]
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.finish(big)
    assert journal.results("c1") == big
    journal.close()


def test_spools_that_nobody_needs_are_swept_away(tmp_path: Path) -> None:
    """The agent died between a tombstone and the freeing of its octets."""
    journal = Journal(tmp_path)
    for cmd_id in ("c1", "c1.out", "c2"):
        journal.accept(cmd_id, 1.0)
        spool = journal.new_spool(cmd_id, "out")
        spool.append(b"octets")
        spool.close()
    journal.forget("c1")
    journal.close()
    journal = Journal(tmp_path)
    assert sorted(os.listdir(tmp_path / "spool")) == ["c1.out.out.0", "c2.out.0"]
    assert journal.found_spool("c2", "out").end == 6
    assert journal.found_spool("c1", "out").end == 0
    journal.close()


def test_a_spool_is_found_as_it_was_left(tmp_path: Path) -> None:
    """Its end, and what was freed of it, from the files alone."""
    journal = Journal(tmp_path)
    journal.accept("c1", 1.0)
    spool = journal.new_spool("c1", "out")
    data = os.urandom(3 * SEGMENT)
    spool.append(data)
    spool.free(3 * SEGMENT)
    assert (spool.start, spool.end) == (2 * SEGMENT, 3 * SEGMENT)
    found = journal.found_spool("c1", "out")
    assert (found.start, found.end) == (2 * SEGMENT, 3 * SEGMENT)
    assert found.read(2 * SEGMENT + 5, 10) == data[2 * SEGMENT + 5 : 2 * SEGMENT + 15]
    found.append(b"more")
    assert found.read(3 * SEGMENT, 100) == b"more"
    found.clear()
    assert os.listdir(tmp_path / "spool") == []
    journal.close()


def test_a_spool_reads_across_segments(tmp_path: Path) -> None:
    """A piece ends where a segment ends; the next one follows on."""
    journal = Journal(tmp_path)
    spool = journal.new_spool("c1", "err")
    data = os.urandom(2 * SEGMENT + 1000)
    for at in range(0, len(data), 100_000):
        spool.append(data[at : at + 100_000])
    got = b""
    while len(got) < len(data):
        got += spool.read(len(got), 300_000)
    assert got == data
    (tmp_path / "spool" / "c1.err.2").write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        spool.read(2 * SEGMENT, 10)
    spool.clear()
    journal.close()
