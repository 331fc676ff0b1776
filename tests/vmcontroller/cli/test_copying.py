"""``cp``, where a VM's files are a directory here."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.cli.conftest import Call
from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon

HOUSE = Path(__file__).parents[3]


@pytest.fixture
def root(api: FakeApi, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory above those of the VMs; the working directory holds a file and a directory."""
    here, root = tmp_path / "here", tmp_path / "root"
    (here / "dir" / "deep").mkdir(parents=True)
    (here / "file").write_text("file")
    (here / "dir" / "deep" / "x").write_text("x")
    root.mkdir()
    api.serve(root)
    monkeypatch.chdir(here)
    return root


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["file", "w1:"], "w1/file"),
        (["file", "w1:new"], "w1/new"),
        (["file", "w1:/sub/"], "w1/sub/file"),
        (["file", "id-w1:sub"], "w1/sub/file"),
        (["dir", "w1:"], "w1/dir/deep/x"),
        (["dir", "w1:new"], "w1/new/deep/x"),
        (["dir/", "w1:sub"], "w1/sub/dir/deep/x"),
        (["file", "dir", "w1:sub"], "w1/sub/dir/deep/x"),
    ],
)
def test_into_a_vm(call: Call, root: Path, argv: list[str], found: str) -> None:
    """As cp does it: into a directory that is there, or under the name that is given."""
    (root / "w1" / "sub").mkdir()
    done = call("cp", *argv)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (root / found).read_text() == found.rpartition("/")[2].replace("new", "file")


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["w1:file", "."], "file"),
        (["w1:file", "new"], "new"),
        (["w1:file", "dir/"], "dir/file"),
        (["w1:sub", "."], "sub/x"),
        (["w1:/sub/", "new"], "new/x"),
        (["w1:", "new"], "new/sub/x"),
        (["w1:", "."], "w1/sub/x"),
        (["w1:file", "w1:sub", "dir"], "dir/sub/x"),
    ],
)
def test_out_of_a_vm(call: Call, root: Path, argv: list[str], found: str) -> None:
    """The other way round; a VM's whole directory is named after it."""
    (root / "w1" / "sub").mkdir()
    (root / "w1" / "sub" / "x").write_text("x")
    (root / "w1" / "file").write_text("file")
    assert call("cp", *argv).code == 0
    assert Path(found).read_text() == found.rpartition("/")[2].replace("new", "file")


def test_what_fails_is_one_sentence(call: Call, root: Path) -> None:
    """The transfer's own, and what was copied before it stays."""
    done = call("cp", "file", "absent", "w1:")
    assert (done.code, done.out, done.err) == (1, "", "vmcontroller: absent is not there\n")
    assert (root / "w1" / "file").exists()


def test_the_result_as_json(call: Call, root: Path) -> None:
    """The struct of one, or a list of several."""
    assert json.loads(call("cp", "--json", "file", "w1:").out)["state"] == "done"
    assert [told["done"] for told in json.loads(call("cp", "--json", "file", "dir", "w1:").out)] == [10, 10]


@pytest.fixture
def stalled(api: FakeApi, root: Path, tmp_path: Path) -> Any:
    """A ``cp`` as a process of its own, on a terminal, that does not get on."""
    api.stalls = True
    ours, its = pty.openpty()
    environment = os.environ | {"VMCONTROLLER_STATE_DIR": str(tmp_path), "PYTHONPATH": str(HOUSE), "COLUMNS": "100"}
    command = [sys.executable, "-m", "vmcontroller", "cp", "file", "w1:"]
    process = subprocess.Popen(command, env=environment, stderr=its, stdin=its, start_new_session=True)
    os.close(its)
    yield process, ours
    process.kill()
    process.wait()
    os.close(ours)


def read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)
    return seen


def test_a_terminal_sees_how_far_it_is(stalled: Any, api: FakeApi) -> None:
    """One line that is drawn again, and a new line at the end."""
    process, terminal = stalled
    line = read_until(terminal, b" of ")
    assert line.startswith(b"\r")
    assert b"here/file  [############            ]  50%  5 B of" in line
    api.transfers["0"] |= {"state": "done", "done": 10}
    assert b"100%  10 B of 10 B" in read_until(terminal, b"\r\n")
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_to_be_interrupted_cancels_it(stalled: Any, api: FakeApi, number: int) -> None:
    """The transfer is the daemon's, and would go on without us."""
    process, terminal = stalled
    read_until(terminal, b" of ")
    process.send_signal(number)
    assert b"the copy of file was cancelled; " in read_until(terminal, b"or whole")
    assert process.wait(timeout=30) == 130
    assert api.transfers["0"]["state"] == "cancelled"


def test_without_a_terminal_nothing_is_drawn(api: FakeApi, call: Call, root: Path) -> None:
    """And the daemon is asked but once in ten seconds."""
    started = time.monotonic()
    assert call("cp", "file", "w1:").err == ""
    assert time.monotonic() - started < 5
