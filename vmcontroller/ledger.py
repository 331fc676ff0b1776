"""Every command from asked to acknowledged, every guest's secret and session, on disk before anybody is told.

One SQLite file in the state directory. Each method is one transaction that is on the disk when it returns.
It keeps facts; what follows from them is decided elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmcontroller.commands import OPEN, State
from vmcontroller.database import Database
from vmcontroller.records import Command, GuestRecord, Move, Part, Request

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS guests (
    vm TEXT PRIMARY KEY, name TEXT NOT NULL, vm_group TEXT NOT NULL, secret TEXT NOT NULL, chirp_key TEXT NOT NULL,
    session INTEGER NOT NULL DEFAULT 0, journal TEXT NOT NULL DEFAULT '', restored INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rolled_offers (vm TEXT, session INTEGER, PRIMARY KEY (vm, session));
CREATE TABLE IF NOT EXISTS commands (
    cmd_id TEXT PRIMARY KEY, asked REAL NOT NULL, target TEXT NOT NULL, vm_group TEXT NOT NULL, request TEXT NOT NULL,
    read REAL NOT NULL DEFAULT 0, stdin_closed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS commands_by_read ON commands (read);
CREATE TABLE IF NOT EXISTS parts (
    cmd_id TEXT NOT NULL REFERENCES commands ON DELETE CASCADE, vm TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '', out BLOB, err BLOB, PRIMARY KEY (cmd_id, vm));
CREATE INDEX IF NOT EXISTS parts_by_vm ON parts (vm, state);
CREATE INDEX IF NOT EXISTS parts_by_state ON parts (state);
CREATE TABLE IF NOT EXISTS signals (
    signal_id TEXT PRIMARY KEY, cmd_id TEXT NOT NULL, vm TEXT NOT NULL, signal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS strangers (
    cmd_id TEXT NOT NULL, vm TEXT NOT NULL, state TEXT NOT NULL, killed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (cmd_id, vm));
CREATE TABLE IF NOT EXISTS held (
    vm TEXT NOT NULL, snapshot TEXT NOT NULL, cmd_id TEXT NOT NULL, state TEXT NOT NULL, out INTEGER, err INTEGER,
    PRIMARY KEY (vm, snapshot, cmd_id));
CREATE TABLE IF NOT EXISTS leases (lease TEXT PRIMARY KEY, holder TEXT NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS leased (vm TEXT PRIMARY KEY, lease TEXT NOT NULL);
"""

_GUEST = "vm, name, vm_group, secret, chirp_key, session, journal, restored"
_PART = "cmd_id, vm, name, state, result"
_OPEN = ", ".join(f"'{state}'" for state in sorted(OPEN))


class Ledger:
    """The file. ``path`` may be ":memory:" in tests; ``wall`` gives seconds since the epoch.

    DiskFull, StateDirectoryUnusable; every method that writes may say DiskFull, and has written nothing then.
    """

    def __init__(self, path: Path | str, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._db = Database(path, SCHEMA)
        self._guests: dict[str, GuestRecord] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def discard(self) -> None:
        """Close the file; one that was made when it was opened is gone."""
        self._db.discard()

    # -- facts about the daemon

    def fact(self, name: str, default: str) -> str:
        """A fact; the first time that it is asked for, ``default`` becomes it."""
        row = self._db.one("SELECT value FROM facts WHERE name=?", name)
        if row is None:
            self._db.do("INSERT INTO facts VALUES (?, ?)", name, default)
        return default if row is None else str(row[0])

    def next_session(self, at_least: int) -> int:
        """A session number that was never used, larger than ``at_least``."""
        number = max(int(self.fact("session", "0")), at_least) + 1
        self._db.do("UPDATE facts SET value=? WHERE name='session'", str(number))
        return number

    # -- guests

    def add_guest(self, vm: str, name: str, group: str, secret: str, chirp_key: str) -> None:
        """A VM is about to be made; its secret and the private half of its Chirp key stand here first."""
        sql = "INSERT INTO guests (vm, name, vm_group, secret, chirp_key) VALUES (?, ?, ?, ?, ?)"
        self._db.do(sql, vm, name, group, secret, chirp_key)

    def remove_guest(self, vm: str) -> None:
        """A VM is gone, with all that was known of its guest; its commands stay."""
        self._guests.pop(vm, None)
        with self._db.transaction() as cursor:
            for table in ("guests", "rolled_offers", "strangers", "held", "leased", "signals"):
                cursor.execute(f"DELETE FROM {table} WHERE vm=?", (vm,))

    def guest(self, vm: str) -> GuestRecord | None:
        """What is kept of a guest. Asked for with every word, so it is remembered until it changes."""
        if vm not in self._guests:
            row = self._db.one(f"SELECT {_GUEST} FROM guests WHERE vm=?", vm)
            if row is None:
                return None
            self._guests[vm] = _guest(row)
        return self._guests[vm]

    def guests(self) -> list[GuestRecord]:
        """All guests that are kept."""
        return [_guest(row) for row in self._db.all(f"SELECT {_GUEST} FROM guests")]

    def mark_restored(self, vm: str) -> None:
        """The host is about to restore this VM to a snapshot."""
        self._db.do("UPDATE guests SET restored=1 WHERE vm=?", vm)
        self._guests.pop(vm, None)

    def note_rolled_offer(self, vm: str, session: int) -> None:
        """An offer that answers a HELLO after a roll-back: should we stop before it is confirmed, we shall know."""
        self._db.do("INSERT OR IGNORE INTO rolled_offers VALUES (?, ?)", vm, session)

    def was_rolled_offer(self, vm: str, session: int) -> bool:
        """A session that was offered after a roll-back and not judged."""
        return self._db.one("SELECT 1 FROM rolled_offers WHERE vm=? AND session=?", vm, session) is not None

    # -- commands

    def add_command(self, cmd_id: str, asked: float, request: Request, audience: Mapping[str, str]) -> None:
        """A command and its parts, all ``sent``: written before a word of it is said. ``audience``: id → name."""
        with self._db.transaction() as cursor:
            values = (cmd_id, asked, request.to, request.group, request.text())
            cursor.execute("INSERT INTO commands (cmd_id, asked, target, vm_group, request) VALUES (?,?,?,?,?)", values)
            rows = [(cmd_id, vm, name, State.SENT) for vm, name in audience.items()]
            cursor.executemany("INSERT INTO parts (cmd_id, vm, name, state) VALUES (?, ?, ?, ?)", rows)

    def command(self, cmd_id: str) -> Command | None:
        """The command of this id."""
        row = self._db.one("SELECT cmd_id, asked, request, read, stdin_closed FROM commands WHERE cmd_id=?", cmd_id)
        return None if row is None else Command(row[0], row[1], Request.read(row[2]), bool(row[3]), bool(row[4]))

    def command_ids(self, unfinished: bool = False) -> list[str]:
        """All commands, or those that have a part without an outcome, oldest first."""
        where = f"WHERE cmd_id IN (SELECT cmd_id FROM parts WHERE state IN ({_OPEN}))" if unfinished else ""
        return [row[0] for row in self._db.all(f"SELECT cmd_id FROM commands {where} ORDER BY asked")]

    def finished_unread(self) -> list[str]:
        """Commands of which every part has ended and whose results nobody has read, oldest first."""
        sql = f"""SELECT cmd_id FROM commands WHERE NOT read AND NOT EXISTS (SELECT 1 FROM parts
                  WHERE parts.cmd_id = commands.cmd_id AND state IN ({_OPEN})) ORDER BY asked"""
        return [row[0] for row in self._db.all(sql)]

    def mark_read(self, cmd_id: str) -> None:
        """Somebody has read the results, now."""
        self._db.do("UPDATE commands SET read=? WHERE cmd_id=?", self._wall(), cmd_id, durable=False)

    def read_before(self, when: float, most: int) -> list[str]:
        """Commands that have ended, whose results nobody has read since, and that no snapshot could bring back.

        ``when`` is in seconds since the epoch; at most so many, the oldest first.
        """
        sql = f"""SELECT cmd_id FROM commands WHERE read > 0 AND read < ? AND cmd_id NOT IN (SELECT cmd_id FROM held)
                  AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.cmd_id = commands.cmd_id AND state IN ({_OPEN}))
                  ORDER BY read LIMIT ?"""
        return [row[0] for row in self._db.all(sql, when, most)]

    def close_stdin(self, cmd_id: str) -> None:
        """No input follows what is in the spool."""
        self._db.do("UPDATE commands SET stdin_closed=1 WHERE cmd_id=?", cmd_id)

    def forget(self, cmd_id: str) -> None:
        """Remove a command and its parts."""
        with self._db.transaction() as cursor:
            cursor.execute("DELETE FROM signals WHERE cmd_id=?", (cmd_id,))
            cursor.execute("DELETE FROM commands WHERE cmd_id=?", (cmd_id,))

    # -- parts

    def part(self, cmd_id: str, vm: str) -> Part | None:
        """A command at one VM."""
        row = self._db.one(f"SELECT {_PART} FROM parts WHERE cmd_id=? AND vm=?", cmd_id, vm)
        return None if row is None else _part(row)

    def parts(self, cmd_id: str) -> list[Part]:
        """A command at all its VMs."""
        return [_part(r) for r in self._db.all(f"SELECT {_PART} FROM parts WHERE cmd_id=? ORDER BY name", cmd_id)]

    def open_parts(self, vm: str = "") -> list[Part]:
        """The parts without an outcome, of one VM or of all."""
        where, values = ("vm=? AND ", (vm,)) if vm else ("", ())
        return [_part(r) for r in self._db.all(f"SELECT {_PART} FROM parts WHERE {where}state IN ({_OPEN})", *values)]

    def accepted(self, cmd_id: str, vm: str) -> None:
        """A guest has it in its journal. Its next HELLO would tell us again, so the disk is not waited for."""
        sql = "UPDATE parts SET state=? WHERE cmd_id=? AND vm=?"
        self._db.do(sql, State.ACCEPTED, cmd_id, vm, durable=False)

    def set_state(self, cmd_id: str, vm: str, state: State, result: Mapping[str, Any]) -> None:
        """Move a part, with the result that goes with it."""
        sql = "UPDATE parts SET state=?, result=? WHERE cmd_id=? AND vm=?"
        self._db.do(sql, state, json.dumps(result), cmd_id, vm)

    def end(self, cmd_id: str, vm: str, state: State, result: Mapping[str, Any], inline: Mapping[str, bytes]) -> None:
        """Give a part its outcome. ``inline``: streams that came whole inside the result."""
        self._db.do(
            "UPDATE parts SET state=?, result=?, out=?, err=? WHERE cmd_id=? AND vm=?",
            *(state, json.dumps(result), inline.get("out"), inline.get("err"), cmd_id, vm),
        )

    def inline(self, cmd_id: str, vm: str, stream: str) -> bytes | None:
        """A stream that came whole inside the result."""
        row = self._db.one(f"SELECT {stream} FROM parts WHERE cmd_id=? AND vm=?", cmd_id, vm)
        return None if row is None else row[0]

    def inline_length(self, cmd_id: str, vm: str, stream: str) -> int | None:
        """The length of such a stream in octets."""
        row = self._db.one(f"SELECT length({stream}) FROM parts WHERE cmd_id=? AND vm=?", cmd_id, vm)
        return None if row is None else row[0]

    def judge(self, vm: str, session: int, journal: str, moves: Iterable[Move], strangers: Mapping[str, str]) -> None:
        """A guest has joined: its session, every part that it moves, and what it has that we do not know.

        A part that moves has nothing but its new state and result: what else the guest has comes again.
        """
        with self._db.transaction() as cursor:
            values = (session, journal, vm)
            cursor.execute("UPDATE guests SET session=?, journal=?, restored=0 WHERE vm=?", values)
            cursor.execute("DELETE FROM rolled_offers WHERE vm=? AND session<=?", (vm, session))
            for cmd_id, state, result in moves:
                text = json.dumps(result) if result else ""
                sql = "UPDATE parts SET state=?, result=?, out=NULL, err=NULL WHERE cmd_id=? AND vm=?"
                cursor.execute(sql, (state, text, cmd_id, vm))
                cursor.execute("UPDATE commands SET read=0 WHERE cmd_id=?", (cmd_id,))
            cursor.execute("DELETE FROM strangers WHERE vm=? AND NOT killed", (vm,))
            for cmd_id, seen in strangers.items():
                sql = "INSERT INTO strangers (cmd_id, vm, state) VALUES (?,?,?) ON CONFLICT DO UPDATE SET state=?"
                cursor.execute(sql, (cmd_id, vm, seen, seen))
        self._guests.pop(vm, None)

    # -- signals under way

    def add_signal(self, signal_id: str, cmd_id: str, vm: str, signal: int) -> None:
        """A signal is about to be sent."""
        self._db.do("INSERT INTO signals VALUES (?, ?, ?, ?)", signal_id, cmd_id, vm, signal)

    def signals(self, vm: str) -> list[tuple[str, str, int]]:
        """The signals that a guest has not confirmed: (signal_id, cmd_id, signal)."""
        return [
            (r[0], r[1], r[2]) for r in self._db.all("SELECT signal_id, cmd_id, signal FROM signals WHERE vm=?", vm)
        ]

    def remove_signal(self, vm: str, signal_id: str) -> None:
        """A signal of this guest's has arrived, or is pointless. Said twice it does no harm."""
        self._db.do("DELETE FROM signals WHERE vm=? AND signal_id=?", vm, signal_id, durable=False)

    # -- commands of guests that this ledger does not know

    def strangers(self, vm: str = "") -> list[tuple[str, str, str, bool]]:
        """(vm, cmd_id, state as last said, killed by the operator's word)."""
        where, values = ("WHERE vm=?", (vm,)) if vm else ("", ())
        rows = self._db.all(f"SELECT vm, cmd_id, state, killed FROM strangers {where} ORDER BY vm, cmd_id", *values)
        return [(r[0], r[1], r[2], bool(r[3])) for r in rows]

    def kill_stranger(self, vm: str, cmd_id: str) -> bool:
        """The operator does not want it; False when there is no such stranger."""
        return self._db.do("UPDATE strangers SET killed=1 WHERE vm=? AND cmd_id=?", vm, cmd_id) > 0

    def remove_stranger(self, vm: str, cmd_id: str) -> None:
        """Its end was confirmed."""
        self._db.do("DELETE FROM strangers WHERE vm=? AND cmd_id=?", vm, cmd_id)

    # -- what snapshots hold

    def hold(self, vm: str, snapshot: str, held: Iterable[tuple[str, State, int, int]]) -> None:
        """A snapshot was taken; it holds these commands, with so many octets of output."""
        rows = [(vm, snapshot, cmd_id, state, out, err) for cmd_id, state, out, err in held]
        with self._db.transaction() as cursor:
            cursor.execute("DELETE FROM held WHERE vm=? AND snapshot=?", (vm, snapshot))
            cursor.executemany("INSERT INTO held VALUES (?, ?, ?, ?, ?, ?)", rows)

    def held(self, vm: str, snapshot: str) -> list[str]:
        """The ids of the commands that a snapshot holds."""
        return [r[0] for r in self._db.all("SELECT cmd_id FROM held WHERE vm=? AND snapshot=?", vm, snapshot)]

    def release(self, vm: str, snapshot: str) -> None:
        """A snapshot was deleted."""
        self._db.do("DELETE FROM held WHERE vm=? AND snapshot=?", vm, snapshot)

    # -- leases

    def add_lease(self, lease: str, holder: str, seconds: float) -> None:
        """A lease is opened."""
        self._db.do("INSERT INTO leases VALUES (?, ?, ?)", lease, holder, seconds)

    def leases(self) -> dict[str, tuple[str, float]]:
        """lease → (holder, seconds)."""
        return {r[0]: (r[1], r[2]) for r in self._db.all("SELECT lease, holder, seconds FROM leases")}

    def remove_lease(self, lease: str) -> None:
        """A lease has ended; its VMs are nobody's until somebody leases them again."""
        with self._db.transaction() as cursor:
            cursor.execute("DELETE FROM leases WHERE lease=?", (lease,))
            cursor.execute("DELETE FROM leased WHERE lease=?", (lease,))

    def lease_vm(self, vm: str, lease: str) -> None:
        """Put a VM under a lease; an older one of the same VM ends."""
        self._db.do("INSERT INTO leased VALUES (?, ?) ON CONFLICT DO UPDATE SET lease=excluded.lease", vm, lease)

    def leased(self, lease: str) -> list[str]:
        """The VMs under a lease."""
        return [r[0] for r in self._db.all("SELECT vm FROM leased WHERE lease=?", lease)]


def _guest(row: tuple[Any, ...]) -> GuestRecord:
    return replace(GuestRecord(*row), restored=bool(row[-1]))


def _part(row: tuple[Any, ...]) -> Part:
    cmd_id, vm, name, state, result = row
    return Part(cmd_id, vm, name, State(state), json.loads(result) if result else {})
