"""An SQLite file that is on the disk when it says so: how it is opened and written, and what may go wrong with it.

Each transaction is on the disk when it returns (journal_mode=WAL, synchronous=FULL). It knows no table.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmcontroller import disk
from vmcontroller.errors import StateDirectoryUnusable, VMControllerError

#: No file at all, for tests.
IN_MEMORY = ":memory:"
#: What SQLite lays beside its file.
_COMPANIONS = ("", "-wal", "-shm", "-journal")


class Database:
    """The file at ``path``, with at least the tables of ``schema``; it is made if there is none, mode 0600.

    DiskFull or StateDirectoryUnusable when it cannot be had; then nothing is left of what was being made.
    """

    def __init__(self, path: Path | str, schema: str) -> None:
        self._path = Path(path)
        self._kept = str(path) != IN_MEMORY
        self._is_new = self._kept and not self._path.exists()
        self._durable = True
        self._connection: sqlite3.Connection | None = None
        try:
            self._open(schema)
        except (sqlite3.Error, OSError) as error:
            self.discard()
            raise _explained(error, self._path) from None

    def _open(self, schema: str) -> None:
        if self._kept:
            # It may hold secrets. What SQLite lays beside it takes its mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            os.chmod(self._path, 0o600)
        self._connection = sqlite3.connect(self._path if self._kept else IN_MEMORY, isolation_level=None)
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")

    def close(self) -> None:
        """Close the file; nothing is pending, every transaction has written already."""
        if self._connection is not None:
            self._connection.close()

    def discard(self) -> None:
        """Close it, and remove what was not there before it was opened."""
        self.close()
        if self._is_new:
            for companion in _COMPANIONS:
                self._path.with_name(self._path.name + companion).unlink(missing_ok=True)

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    @contextmanager
    def transaction(self, durable: bool = True) -> Iterator[sqlite3.Cursor]:
        """All or nothing. What is not ``durable`` a power cut may undo: only what would be found out again anyway.

        DiskFull.
        """
        cursor = self._db.cursor()
        try:
            if durable is not self._durable:
                cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                cursor.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and _is_full(error):
                raise disk.no_room(self._path) from None
            raise

    def do(self, sql: str, *values: Any, durable: bool = True) -> int:
        """A transaction of one statement; how many rows it has changed."""
        with self.transaction(durable) as cursor:
            return cursor.execute(sql, values).rowcount

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row that a question is answered with."""
        return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first of them."""
        row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return row


def _is_full(error: sqlite3.Error) -> bool:
    # It cannot tell why its shared memory does not grow; a full disk is the one reason that happens.
    return error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def _explained(error: sqlite3.Error | OSError, path: Path) -> VMControllerError:
    if isinstance(error, OSError):
        return disk.explain(error, path)
    if _is_full(error):
        return disk.no_room(path)
    kind = error.sqlite_errorcode & 0xFF  # the rest only says more of the same
    if kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return disk.unwritable(path, error)
    if kind == sqlite3.SQLITE_BUSY:
        return StateDirectoryUnusable(f"another program uses {path} ({error}); close it and start again")
    return StateDirectoryUnusable(f"{path} is no usable database ({error}); move it away to begin anew")
