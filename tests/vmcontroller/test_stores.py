"""What the daemon keeps on disk: the ledger, the output, the state directory."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from twisted.internet.defer import Deferred, succeed

from tests.users import plain_user
from vmcontroller.commands import State
from vmcontroller.errors import AlreadyRunning, DiskFull, StateDirectoryUnusable
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import STDIN, Outputs
from vmcontroller.records import Request
from vmcontroller.statedir import StateDirectory

REQUEST = Request("vm", "/bin/echo", ("a", "\udcff"), {"K": "V"}, stdin={"kind": "none"})


def at_once(function: Any, *arguments: Any) -> Deferred[Any]:
    return succeed(function(*arguments))


def in_small_files(directory: Path, most: int) -> str:
    """What a process says that opens a ledger there and may write no file of more than so many octets."""
    code = "import resource, sys; from vmcontroller.ledger import Ledger\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2); Ledger(sys.argv[1])"
    command = [sys.executable, "-B", "-c", code, str(directory / "ledger"), str(most)]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    return ran.stderr.splitlines()[-1]


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    ledger.close()


class TestLedger:
    """Facts survive; nothing is half written."""

    def test_command_survives_restart(self, tmp_path: Path) -> None:
        """What was asked is there after a restart, odd octets and all."""
        ledger = Ledger(tmp_path / "ledger")
        ledger.add_command("c", 1.5, REQUEST, {"vm-1": "vm"})
        ledger.close()
        again = Ledger(tmp_path / "ledger")
        command = again.command("c")
        assert command is not None
        assert command.request == REQUEST
        assert [part.state for part in again.parts("c")] == [State.SENT]
        again.close()

    def test_sessions_only_grow(self, ledger: Ledger) -> None:
        """A number is larger than all before and than what the caller names."""
        numbers = [ledger.next_session(0), ledger.next_session(0), ledger.next_session(70), ledger.next_session(3)]
        assert numbers == [1, 2, 71, 72]

    def test_finished_unread(self, ledger: Ledger) -> None:
        """Listed when every part has ended, until somebody reads."""
        ledger.add_command("c", 1, REQUEST, {"vm-1": "one", "vm-2": "two"})
        ledger.end("c", "vm-1", State.EXITED, {"outcome": "exited"}, {"out": b"x"})
        assert ledger.finished_unread() == []
        ledger.set_state("c", "vm-2", State.LOST, {"outcome": "lost"})
        assert ledger.finished_unread() == ["c"]
        assert ledger.inline("c", "vm-1", "out") == b"x"
        ledger.mark_read("c")
        assert ledger.finished_unread() == []

    def test_forget_removes_parts(self, ledger: Ledger) -> None:
        """Nothing of a forgotten command is left."""
        ledger.add_command("c", 1, REQUEST, {"vm-1": "one"})
        ledger.forget("c")
        assert ledger.command("c") is None
        assert ledger.parts("c") == []

    def test_garbage_is_no_ledger(self, tmp_path: Path) -> None:
        """A file that is none is named, and what to do."""
        (tmp_path / "ledger").write_bytes(b"no database" * 100)
        with pytest.raises(StateDirectoryUnusable, match=r"ledger is no usable database.*move it away"):
            Ledger(tmp_path / "ledger")

    def test_is_private(self, tmp_path: Path) -> None:
        """It holds secrets: its user alone reads it, and what SQLite lays beside it, also if it was open before."""
        (tmp_path / "ledger").touch(0o644)
        ledger = Ledger(tmp_path / "ledger")
        ledger.fact("id", "x")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == dict.fromkeys(("ledger", "ledger-wal", "ledger-shm"), 0o600)
        ledger.close()

    def test_no_room(self, ledger: Ledger) -> None:
        """What does not fit is not written, not even half, and said so; what there was is still there."""
        ledger.add_command("c", 1, REQUEST, {"vm-1": "one"})
        ledger._db.one("PRAGMA max_page_count = 1")
        with pytest.raises(DiskFull, match="no room is left on the disk; free some"):
            ledger.add_command("d", 1, replace(REQUEST, args=("x" * 10_000,)), {"vm-1": "one"})
        ledger._db.one("PRAGMA max_page_count = 1000000")
        assert ledger.command_ids() == ["c"]

    @pytest.mark.skipif(os.name != "posix", reason="only Unix bounds the size of files")
    @pytest.mark.parametrize("most", [0, 20_000, 60_000])
    def test_no_room_to_begin(self, most: int, tmp_path: Path) -> None:
        """A ledger that cannot be made is not half made, and its user is told what to do."""
        told = in_small_files(tmp_path, most)
        assert ("no room is left" in told) or ("cannot be written" in told)
        assert "--state-dir" in told
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.name != "posix", reason="only Unix bounds the size of files")
    def test_no_room_to_go_on(self, tmp_path: Path) -> None:
        """A ledger that there is stays as it is when it cannot be opened."""
        Ledger(tmp_path / "ledger").close()
        before = (tmp_path / "ledger").read_bytes()
        assert "--state-dir" in in_small_files(tmp_path, 0)
        assert (tmp_path / "ledger").read_bytes() == before

    def test_discarded(self, tmp_path: Path) -> None:
        """Only what was not there before goes."""
        Ledger(tmp_path / "ledger").discard()
        assert list(tmp_path.iterdir()) == []
        Ledger(tmp_path / "ledger").close()
        Ledger(tmp_path / "ledger").discard()
        assert (tmp_path / "ledger").exists()

    def test_in_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another program that holds it is no reason to move it away."""
        Ledger(tmp_path / "ledger").close()
        impatient = partial(sqlite3.connect, timeout=0)
        other = sqlite3.connect(tmp_path / "ledger", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(sqlite3, "connect", impatient)
        with pytest.raises(StateDirectoryUnusable, match="another program uses"):
            Ledger(tmp_path / "ledger")
        other.close()

    def test_removed_guest_leaves_nothing(self, ledger: Ledger) -> None:
        """Secret, sessions, strangers and snapshots' notes go with the VM; its commands stay."""
        ledger.add_guest("vm-1", "one", "default", "secret", "key")
        ledger.hold("vm-1", "snap", [("c", State.ACCEPTED, 1, 2)])
        ledger.judge("vm-1", 3, "j", [], {"x": "running"})
        ledger.add_command("c", 1, REQUEST, {"vm-1": "one"})
        ledger.remove_guest("vm-1")
        assert ledger.guest("vm-1") is None
        assert ledger.strangers() == []
        assert ledger.held("vm-1", "snap") == []
        assert len(ledger.parts("c")) == 1


class TestOutputs:
    """Octets by offset: what is there is skipped, what would leave a gap is not taken."""

    @pytest.fixture
    def outputs(self, tmp_path: Path) -> Any:
        outputs = Outputs(tmp_path / "cmds", at_once)
        yield outputs
        outputs.close()

    def test_append(self, outputs: Outputs) -> None:
        """Overlaps are skipped, gaps refused, order restored by the sender."""
        assert outputs.append("c", "v", "out", 0, b"abc") == 3
        assert outputs.append("c", "v", "out", 1, b"bcde") == 5
        assert outputs.append("c", "v", "out", 7, b"zz") == 5
        assert outputs.append("c", "v", "out", 0, b"xyz") == 5
        assert outputs.read("c", "v", "out", 0, 99) == b"abcde"
        assert outputs.read("c", "v", "out", 3, 1) == b"d"
        assert outputs.read("c", "v", "err", 0, 9) == b""

    def test_cut_then_append(self, outputs: Outputs) -> None:
        """After a cut the stream goes on from there."""
        outputs.append("c", "v", "out", 0, b"abcdef")
        outputs.cut("c", "v", "out", 2)
        assert outputs.append("c", "v", "out", 2, b"X") == 3
        assert outputs.read("c", "v", "out", 0, 9) == b"abX"

    def test_many_files_few_descriptors(self, outputs: Outputs) -> None:
        """More streams than may be open at once are all written."""
        for n in range(300):
            outputs.append(f"c{n}", "v", "out", 0, b"a")
        for n in range(300):
            outputs.append(f"c{n}", "v", "out", 1, b"b")
        assert all(outputs.read(f"c{n}", "v", "out", 0, 9) == b"ab" for n in range(300))

    def test_disk_nearly_full(self, tmp_path: Path) -> None:
        """The room that is to stay free is not touched."""
        outputs = Outputs(tmp_path / "cmds", at_once, min_free=1 << 60)
        with pytest.raises(DiskFull, match="no room for the output of c"):
            outputs.append("c", "v", "out", 0, b"abc")
        assert outputs.length("c", "v", "out") == 0

    def test_stdin_is_shared(self, outputs: Outputs) -> None:
        """Input is one file, whichever VM reads it."""
        outputs.append("c", "", STDIN, 0, b"in")
        assert outputs.length("c", "any", STDIN) == 2

    def test_remove(self, outputs: Outputs, tmp_path: Path) -> None:
        """Everything of a command goes, open files too."""
        outputs.append("c", "v", "out", 0, b"abc")
        outputs.remove("c")
        assert not (tmp_path / "cmds" / "c").exists()
        assert outputs.length("c", "v", "out") == 0


class TestStateDirectory:
    """One owner at a time; the address is for its user alone."""

    def test_second_is_told(self, tmp_path: Path) -> None:
        """A second daemon learns that a first one is there."""
        first = StateDirectory(tmp_path / "state")
        with pytest.raises(AlreadyRunning, match="owns"):
            StateDirectory(tmp_path / "state")
        first.release()
        StateDirectory(tmp_path / "state").release()

    def test_lock_ends_with_the_process(self, tmp_path: Path) -> None:
        """kill -9 frees it."""
        code = "import sys, os; from pathlib import Path; from vmcontroller.statedir import StateDirectory\n"
        code += "StateDirectory(Path(sys.argv[1])); print('locked', flush=True); os.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, stdout=subprocess.DEVNULL, timeout=60)
        StateDirectory(tmp_path).release()

    def test_address_is_private(self, tmp_path: Path) -> None:
        """daemon.json is written whole, mode 0600, and goes with the daemon."""
        state = StateDirectory(tmp_path)
        state.announce({"port": 1})
        path = tmp_path / "daemon.json"
        assert json.loads(path.read_text()) == {"port": 1}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        state.release()
        assert not path.exists()

    def test_address_is_written_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no room for it, nothing of it is left."""
        state = StateDirectory(tmp_path)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(os, "replace", mock.Mock(side_effect=full))
        with pytest.raises(DiskFull, match=r"daemon.json.new: no room is left"):
            state.announce({"port": 1})
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        state.release()

    def test_cannot_be_made(self, tmp_path: Path) -> None:
        """A path that can be no directory is named, with the way out."""
        (tmp_path / "file").touch()
        with pytest.raises(StateDirectoryUnusable, match="--state-dir"):
            StateDirectory(tmp_path / "file" / "state")

    @pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
    def test_read_only(self) -> None:
        """A directory that cannot be written is named, with the way out."""
        with plain_user() as home:
            home.chmod(0o500)
            with pytest.raises(StateDirectoryUnusable, match="--state-dir"):
                StateDirectory(home / "state")
