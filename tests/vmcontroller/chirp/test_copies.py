"""Files and directories there and back: with our own verbs, and with those that every Chirp server has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fileservers import client, guest_server
from vmcontroller.chirp import copies, couriers
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.chirp.meter import Meter
from vmcontroller.errors import DiskFull, FileDenied, NoSuchFile, TransferFailed
from vmcontroller.wire.chirp import EAGER


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The guest's served directory."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host."""
    (tmp_path / "host").mkdir()
    return tmp_path / "host"


@pytest.fixture(params=["sealed", "plain"])
def guest(root: Path, request: pytest.FixtureRequest) -> Iterator[ChirpClient]:
    """A client that speaks one of the two dialects."""
    with guest_server(root) as port, client(port) as made:
        made.ours = request.param == "sealed"
        yield made


SIZES = [0, 1, EAGER, EAGER + 1, 3_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_goes_there_and_back(guest: ChirpClient, root: Path, host: Path, size: int) -> None:
    """Its octets and its permissions; the meter says how much moved."""
    octets = os.urandom(size)
    (host / "f").write_bytes(octets)
    (host / "f").chmod(0o751)
    there, back = Meter(), Meter()
    copies.put(guest, host / "f", "g", there)
    assert (root / "g").read_bytes() == octets
    copies.get(guest, "g", host / "h", back)
    assert (host / "h").read_bytes() == octets
    assert {path.stat().st_mode & 0o7777 for path in (root / "g", host / "h")} == {0o751}
    assert {(meter.done, meter.total) for meter in (there, back)} == {(size, size)}
    assert sorted(os.listdir(host)) == ["f", "h"]


TREE = {
    "a/b/deep": b"deep",
    "a b": b"space",
    "né/日本語": b"unicode",
    "qu\"o'te": b"quotes",
    "100%<>{}|\\~": b"signs",
    "\udcff\udc80": b"no unicode",
    "empty file": b"",
    "large": os.urandom(2 * EAGER),
    **{f"many/{i}": b"%d" % i for i in range(80)},
}


def plant(top: Path) -> None:
    """A tree with all that a tree can have."""
    for name, octets in TREE.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(octets)
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o755)
    (top / "empty directory").mkdir()
    (top / "a" / "link").symlink_to("../large")
    (top / "latest").symlink_to("a")
    (top / "dangling").symlink_to("nowhere")


def picture(top: Path) -> dict[str, tuple[object, ...]]:
    """What a tree holds."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = Path(directory, name)
            key = str(path.relative_to(top))
            if path.is_symlink():
                found[key] = ("link", os.readlink(path))
            elif path.is_dir():
                found[key] = ("directory",)
            else:
                found[key] = ("file", path.read_bytes(), path.stat().st_mode & 0o777)
    return found


def test_a_directory_goes_there_and_back(guest: ChirpClient, root: Path, host: Path) -> None:
    """Odd names, executable bits, empty files and directories, links that stay inside; and once more over itself."""
    (host / "tree").mkdir()
    plant(host / "tree")
    for _ in range(2):
        copies.put(guest, host / "tree", "there", Meter())
        assert picture(root / "there") == picture(host / "tree")
        meter = Meter()
        copies.get(guest, "there", host / "back", meter)
        assert picture(host / "back") == picture(host / "tree")
        assert meter.done == meter.total == sum(map(len, TREE.values())) + len("#!/bin/sh\n")
    assert os.listdir(root) == ["there"]


def test_from_windows_each_file_may_be_a_program(
    guest: ChirpClient, root: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have no bit that says so."""
    monkeypatch.setattr(couriers, "EXECUTABLE", 0o111)
    (host / "f").touch(0o600)
    copies.put(guest, host / "f", "f", Meter())
    assert (root / "f").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize(
    ("destination", "name"),
    [("", "f"), (".", "f"), ("/", "f"), ("d/", "d/f"), ("d", "d/f"), ("./g", "g"), ("/d/g", "d/g"), ("g", "g")],
)
def test_a_destination_names_the_copy_or_the_directory_for_it(
    guest: ChirpClient, root: Path, host: Path, destination: str, name: str
) -> None:
    """Empty, with a slash behind it, or a directory: the copy keeps its own name."""
    (root / "d").mkdir()
    (host / "f").write_text("x")
    copies.put(guest, host / "f", destination, Meter())
    assert (root / name).read_text() == "x"


def test_a_directory_goes_into_another_when_a_slash_says_so(guest: ChirpClient, root: Path, host: Path) -> None:
    """And over it when none does."""
    (host / "t").mkdir()
    (host / "t" / "f").write_text("x")
    for destination in ("", "t/", "t"):
        copies.put(guest, host / "t", destination, Meter())
    assert set(picture(root)) == {"t", "t/f", "t/t", "t/t/f"}


def test_a_got_file_goes_into_a_directory(guest: ChirpClient, root: Path, host: Path) -> None:
    """Under its own name."""
    (root / "f").write_text("x")
    copies.get(guest, "/f", host, Meter())
    assert (host / "f").read_text() == "x"


def failure(kind: type[Exception], match: str) -> pytest.RaisesExc[Exception]:
    """What fails fails with a sentence that names the file."""
    return pytest.raises(kind, match=match)


def test_what_is_missing_is_named(guest: ChirpClient, root: Path, host: Path) -> None:
    """On either side."""
    with failure(NoSuchFile, "nothing: it, or a directory on the way to it, does not exist on the host"):
        copies.put(guest, host / "nothing", "x", Meter())
    with failure(NoSuchFile, "missing: it, or a directory on the way to it, does not exist in the guest"):
        copies.get(guest, "missing", host / "x", Meter())
    (host / "f").write_text("")
    with failure(NoSuchFile, "no/where: .* does not exist in the guest"):
        copies.put(guest, host / "f", "no/where", Meter())
    assert os.listdir(root) == []
    assert os.listdir(host) == ["f"]


def test_a_pipe_is_not_waited_for(guest: ChirpClient, root: Path, host: Path) -> None:
    """On either side."""
    os.mkfifo(host / "pipe")
    os.mkfifo(root / "pipe")
    with failure(TransferFailed, "pipe: it is neither a file nor a directory"):
        copies.put(guest, host / "pipe", "x", Meter())
    with failure(TransferFailed, "pipe: it is neither a file nor a directory in the guest"):
        copies.get(guest, "pipe", host / "x", Meter())


def test_what_lies_outside_is_denied(guest: ChirpClient, root: Path, host: Path) -> None:
    """And nothing is written."""
    (host / "f").write_text("")
    (root / "out").symlink_to(host)
    for path in ("../f", "a/../../f", "out/g", ".__acl"):
        with failure(FileDenied, "the guest refuses it"):
            copies.put(guest, host / "f", path, Meter())
        with failure(FileDenied, "the guest refuses it"):
            copies.get(guest, path, host / "h", Meter())
    assert os.listdir(host) == ["f"]


def test_a_tree_that_cannot_be_copied_whole_is_not_begun(guest: ChirpClient, root: Path, host: Path) -> None:
    """A link that leads out, in either direction."""
    for top in (host / "t", root / "u"):
        top.mkdir()
        (top / "f").write_text("")
        (top / "out").symlink_to("../../elsewhere")
    with failure(TransferFailed, "t/out: this symbolic link leads out"):
        copies.put(guest, host / "t", "t", Meter())
    with failure(TransferFailed, "u/out: this symbolic link leads out"):
        copies.get(guest, "u", host / "u", Meter())
    assert os.listdir(host) == ["t"]
    assert sorted(os.listdir(root)) == ["u"]


def test_a_directory_is_not_put_over_a_file(guest: ChirpClient, root: Path, host: Path) -> None:
    """The file stays."""
    (root / "x").write_text("old")
    (host / "t").mkdir()
    with failure(TransferFailed, "x: it exists in the guest already"):
        copies.put(guest, host / "t", "x", Meter())
    assert (root / "x").read_text() == "old"


def test_a_line_break_in_a_name_is_told(guest: ChirpClient, root: Path, host: Path) -> None:
    """In a directory that a command filled: not everything could be copied, and nobody may believe it was."""
    (root / "t").mkdir()
    (root / "t" / "a\nb").write_text("")
    with failure(NoSuchFile, r"t/a\?b"):
        copies.get(guest, "t", host / "t", Meter())
    with failure(TransferFailed, "must not hold a line break"):
        copies.get(guest, "t/a\nb", host / "t", Meter())


def test_a_full_disk_on_the_host_leaves_the_old_file(
    guest: ChirpClient, root: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says whose disk it is."""
    (root / "f").write_bytes(os.urandom(2 * EAGER))
    (host / "f").write_text("old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vmcontroller.chirp.local.os.fsync", full)
    with failure(DiskFull, "f: the host's disk has no room"):
        copies.get(guest, "f", host / "f", Meter())
    assert (host / "f").read_text() == "old"
    assert os.listdir(host) == ["f"]
