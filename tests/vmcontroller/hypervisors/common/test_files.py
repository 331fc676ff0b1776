"""Directories are made, copied and removed whole, whatever programs did to them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from unittest import mock

import pytest

from vmcontroller.errors import DiskFull, HypervisorFailed, StateDirectoryUnusable, VMControllerError
from vmcontroller.hypervisors.common import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, DiskFull, "/x/y: no room is left"),
        (errno.EDQUOT, DiskFull, "/x/y: no room is left"),
        (errno.EROFS, StateDirectoryUnusable, "/x/y: Read-only file system; make it writable"),
        (errno.EACCES, StateDirectoryUnusable, "/x/y: Permission denied; make it writable"),
        (errno.EIO, HypervisorFailed, "/x/y: Input/output error"),
    ],
)
def test_explain(number: int, kind: type[VMControllerError], text: str) -> None:
    """What the system says becomes a sentence with the file in it."""
    error = files.explain(OSError(number, os.strerror(number), "/x/y"))
    assert type(error) is kind
    assert text in str(error)


def test_explain_without_file() -> None:
    """Some errors name no file."""
    assert "the state directory" in str(files.explain(OSError(errno.ENOSPC, "No space")))


def test_write(tmp_path: Path) -> None:
    """A text replaces the old one, for its owner's eyes only."""
    path = tmp_path / "x.json"
    files.write(path, "old and long")
    files.write(path, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"
    assert mode(path) == 0o600
    assert names(tmp_path) == ["x.json"]


def test_write_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays, and nothing else is left."""
    path = tmp_path / "file"
    files.write(path, "old")
    monkeypatch.setattr(files.os, "fsync", mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        files.write(path, "new")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_copy(tmp_path: Path) -> None:
    """Files, links, pipes, modes and times are copied, links are not followed, sockets are left out."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "in ner" / "empty").mkdir(parents=True)
    (source / "in ner" / "ü\udcff 'x'").write_bytes(b"\0\xff" * 40000)
    (source / "program").write_text("#!/bin/sh")
    (source / "program").chmod(0o751)
    os.utime(source / "program", (1, 2))
    (source / "away").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    (source / "in ner").chmod(0o555)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(source / "socket"))
    target.mkdir()
    files.copy(source, target)
    assert names(target) == ["away", "in ner", "pipe", "program"]
    assert (target / "in ner" / "ü\udcff 'x'").read_bytes() == b"\0\xff" * 40000
    assert names(target / "in ner") == ["empty", "ü\udcff 'x'"]
    assert (mode(target / "program"), mode(target / "in ner")) == (0o751, 0o555)
    assert (target / "program").stat().st_mtime == 2
    assert os.readlink(target / "away") == "/etc"
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)


def test_copy_where_the_kernel_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where octets cannot be shared or copied inside the kernel, they are read and written."""

    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"octets")
    files.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "file").read_bytes() == b"octets"


def test_draft_that_is_moved(tmp_path: Path) -> None:
    """What was made gets its name in one step and keeps its mode."""
    with files.draft(tmp_path, "me") as draft:
        (draft / "file").touch()
        draft.chmod(0o500)
        files.move(draft, tmp_path / "done")
    assert names(tmp_path) == ["done"]
    assert names(tmp_path / "done") == ["file"]
    assert mode(tmp_path / "done") == 0o500


def test_draft_that_fails(tmp_path: Path) -> None:
    """Of what was not moved to its place nothing is left."""
    with files.draft(tmp_path, "me") as draft:
        (draft / "file").touch()
    assert names(tmp_path) == []


def test_move_to_a_taken_place(tmp_path: Path) -> None:
    """Nothing is replaced, not even an empty directory."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(FileExistsError):
        files.move(tmp_path / "new", tmp_path / "taken")
    assert names(tmp_path) == ["new", "taken"]


def test_discard_what_is_locked(tmp_path: Path) -> None:
    """What a program made unwritable is removed all the same; what its links point to is not touched."""
    (tmp_path / "stays").mkdir(0o500)
    locked = tmp_path / "machine" / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").touch(0o000)
    (locked / "link").symlink_to(tmp_path / "stays")
    (locked / "inner").chmod(0o000)
    locked.chmod(0o500)
    (tmp_path / "machine").chmod(0o500)
    files.discard(tmp_path / "machine", "me")
    files.discard(tmp_path / "machine", "me")
    assert names(tmp_path) == ["stays"]
    assert mode(tmp_path / "stays") == 0o500


def test_sweep(tmp_path: Path) -> None:
    """Leftovers with our label are removed, and nothing else."""
    for name in (".me-x", ".me-y", ".other-x", "me-x", ".me"):
        (tmp_path / name / "inner").mkdir(parents=True)
    files.sweep(tmp_path, "me")
    assert names(tmp_path) == [".me", ".other-x", "me-x"]
