"""Everything that the guest must not forget, on its disk: who it is to the host, and every command it was given.

A command is written down before it runs, and its result before it is said. Of a confirmed one its id and outcome
stay for ever, so that nothing runs twice. Arguments and environments are not kept: a command whose agent died is
never started again.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmcontroller.errors import StateDirectoryUnusable
from vmcontroller.wire.words import CmdResults, hear, say
from vmcontroller_guest.interfaces import Remains
from vmcontroller_guest.spool import Spool

#: States of a command: ``forgotten`` is a tombstone, the others are those of CommandReport.
RUNNING, FINISHED, DEAD, FORGOTTEN = "running", "finished", "dead", "forgotten"

_TABLES = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS command (
    cmd_id TEXT PRIMARY KEY, state TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT '', started REAL NOT NULL,
    pid INTEGER NOT NULL DEFAULT 0, born TEXT NOT NULL DEFAULT '',
    out INTEGER NOT NULL DEFAULT 0, err INTEGER NOT NULL DEFAULT 0, result BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS living ON command (state) WHERE state != 'forgotten';
"""


class JournalFailed(Exception):
    """The disk did not take what had to be written down; the text says why. Nothing was changed."""


@dataclass(frozen=True)
class Entry:
    """A command in the journal. ``out`` and ``err`` are its streams' lengths once it has its result."""

    cmd_id: str
    state: str
    outcome: str
    started: float
    out: int
    err: int


class Journal:
    """The journal in ``directory``, which is made if it is missing; one agent at a time.

    ``id`` is random, made with the journal: another id means another disk. ``session`` is the last session's
    number, 0 for none. StateDirectoryUnusable when the directory or the journal cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._spools = directory / "spool"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._spools.mkdir(mode=0o700, exist_ok=True)
            self._db = _open(directory / "journal.db")
        except (OSError, sqlite3.Error) as error:
            raise StateDirectoryUnusable(_why_unusable(directory, error)) from None
        self.id = str(self._fact("id", secrets.token_hex(16)))
        self.session = int(self._fact("session", 0))
        self._sweep()

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()

    # -- the session

    def begin_session(self, number: int) -> None:
        """Write down the number of a new session. JournalFailed."""
        with self._writing():
            self._db.execute("UPDATE fact SET value = ? WHERE name = 'session'", (number,))
        self.session = number

    # -- commands

    def accept(self, cmd_id: str, started: float) -> Entry:
        """Write down a new command; ``started`` is in seconds since the epoch. JournalFailed."""
        with self._writing():
            self._db.execute(
                "INSERT INTO command (cmd_id, state, started) VALUES (?, ?, ?)", (cmd_id, RUNNING, started)
            )
        return Entry(cmd_id, RUNNING, "", started, 0, 0)

    def note_process(self, cmd_id: str, pid: int, born: str) -> None:
        """Note its first process. Matters only while the machine runs on, so the disk is not waited for."""
        with self._writing(durable=False):
            self._db.execute("UPDATE command SET pid = ?, born = ? WHERE cmd_id = ?", (pid, born, cmd_id))

    def finish(self, results: CmdResults, state: str = FINISHED) -> None:
        """Write down a command's result; ``state`` is FINISHED or DEAD. JournalFailed."""
        body = say(results)[1]
        values = (state, results.outcome, results.out.length, results.err.length, body, results.cmd_id)
        with self._writing():
            self._db.execute(
                "UPDATE command SET state = ?, outcome = ?, out = ?, err = ?, result = ? WHERE cmd_id = ?", values
            )

    def forget(self, cmd_id: str) -> None:
        """Keep its id and outcome alone. A crash may undo it, so the disk is not waited for."""
        with self._writing(durable=False):
            self._db.execute("UPDATE command SET state = ?, result = NULL WHERE cmd_id = ?", (FORGOTTEN, cmd_id))

    def find(self, cmd_id: str) -> Entry | None:
        """The entry of a command, a tombstone too, or None."""
        return next(self._entries("cmd_id = ?", cmd_id), None)

    def living(self) -> list[Entry]:
        """Every command but the tombstones."""
        return list(self._entries("state != 'forgotten'"))

    def results(self, cmd_id: str) -> CmdResults:
        """The result of a command that has one."""
        (body,) = self._db.execute("SELECT result FROM command WHERE cmd_id = ?", (cmd_id,)).fetchone()
        word = hear({"word": CmdResults.WORD, "cmd-id": cmd_id}, body)
        assert isinstance(word, CmdResults)
        return word

    def remains(self) -> list[Remains]:
        """Every command that was running when the journal was written last."""
        rows = self._db.execute("SELECT cmd_id, pid, born FROM command WHERE state = ?", (RUNNING,))
        return [Remains(*row) for row in rows]

    # -- their output

    def new_spool(self, cmd_id: str, stream: str) -> Spool:
        """The place for a new command's stream."""
        return Spool(self._spools, f"{cmd_id}.{stream}")

    def found_spool(self, cmd_id: str, stream: str) -> Spool:
        """What is on disk of a stream."""
        return Spool.found(self._spools, f"{cmd_id}.{stream}")

    def _sweep(self) -> None:
        """Remove spools that no living command needs: the agent died between noting and freeing."""
        wanted = {f"{entry.cmd_id}.{stream}" for entry in self.living() for stream in ("out", "err")}
        for name in os.listdir(self._spools):
            if name.rpartition(".")[0] not in wanted:
                (self._spools / name).unlink()

    # -- the database

    def _entries(self, where: str, *values: Any) -> Iterator[Entry]:
        rows = self._db.execute(f"SELECT cmd_id, state, outcome, started, out, err FROM command WHERE {where}", values)
        return (Entry(*row) for row in rows)

    def _fact(self, name: str, default: Any) -> Any:
        self._db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (name, default))
        return self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0]

    @contextmanager
    def _writing(self, durable: bool = True) -> Iterator[None]:
        try:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            yield
        except sqlite3.OperationalError as error:
            raise JournalFailed(f"the guest's journal cannot be written: {error}; make room on its disk") from None


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA cache_size = -512")
    db.executescript(_TABLES)
    return db


def _why_unusable(directory: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"{directory} is in use by another agent; stop it, or name another directory with --state"
    return f"{directory} cannot hold the agent's journal: {error}; name another directory with --state"
