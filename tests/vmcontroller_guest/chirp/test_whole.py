"""Whole files: what is put stands there whole or not at all, and what is got is what stood there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fileservers import client, guest_server
from vmcontroller.channel import Channel, Hangup
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.wire.chirp import EAGER, ChirpError, Number, quote

OLD = b"old and whole"
LARGE = os.urandom(3_000_000)


def lines(channel: Channel, count: int) -> list[bytes]:
    """The next lines."""
    return [channel.line() for _ in range(count)]


def delivery(path: str, octets: bytes, mode: int = 0o644, checksum: int | None = None) -> bytes:
    """A delivered file as it travels."""
    trailer = zlib.crc32(octets) if checksum is None else checksum
    return b"deliver %b %d %d\n%b%d\n" % (path.encode(), mode, len(octets), octets, trailer)


@pytest.mark.parametrize("size", [0, 1, EAGER, 3_000_000])
def test_a_put_file_is_the_file(channel: Channel, root: Path, size: int) -> None:
    """Of any size, with its mode: go-ahead, octets, their number."""
    channel.say(b"putfile /f %d %d\n" % (0o100755, size))
    assert channel.line() == b"0"
    channel.say(LARGE[:size])
    assert channel.line() == b"%d" % size
    assert (root / "f").read_bytes() == LARGE[:size]
    assert (root / "f").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("size", [0, 1, EAGER])
def test_a_small_delivery_needs_no_go_ahead(channel: Channel, root: Path, size: int) -> None:
    """Many may be under way at once."""
    channel.say(b"".join(delivery(f"/f{i}", LARGE[i : i + size]) for i in range(20)))
    assert lines(channel, 20) == [b"%d" % size] * 20
    assert [(root / f"f{i}").read_bytes() for i in range(20)] == [LARGE[i : i + size] for i in range(20)]


def test_a_large_delivery_waits_for_the_go_ahead(channel: Channel, root: Path) -> None:
    """So that a refused one costs nothing."""
    head, _, body = delivery("/f", LARGE).partition(b"\n")
    channel.say(head + b"\n")
    assert channel.line() == b"0"
    channel.say(body)
    assert channel.line() == b"%d" % len(LARGE)
    assert (root / "f").read_bytes() == LARGE


def test_set_user_id_does_not_travel(channel: Channel, root: Path) -> None:
    """Permissions are the nine bits."""
    channel.say(delivery("/f", b"x", mode=0o106755))
    assert channel.line() == b"1"
    assert (root / "f").stat().st_mode & 0o7777 == 0o755


def test_a_damaged_delivery_leaves_the_old_file(channel: Channel, root: Path) -> None:
    """Its checksum is wrong, or is none; the connection goes on."""
    (root / "f").write_bytes(OLD)
    channel.say(delivery("/f", b"new", checksum=1) + b"deliver /f 420 3\nnewx\n" + b"whoami 6\n")
    assert lines(channel, 3) == [b"%d" % Number.TRY_AGAIN, b"%d" % Number.INVALID_REQUEST, b"6"]
    assert (root / "f").read_bytes() == OLD
    assert os.listdir(root) == ["f"]


REFUSED = [
    ("/../out", Number.NOT_AUTHORIZED),
    ("/a/../../out", Number.NOT_AUTHORIZED),
    ("/%2e%2e/out", Number.NOT_AUTHORIZED),
    ("/outward/f", Number.NOT_AUTHORIZED),
    ("/.__incoming.f", Number.NOT_AUTHORIZED),
    ("/.__acl", Number.NOT_AUTHORIZED),
    ("/%2e__acl", Number.NOT_AUTHORIZED),
    ("/missing/f", Number.DOESNT_EXIST),
    ("/file/f", Number.NOT_DIR),
    ("/directory", Number.IS_DIR),
    ("/", Number.IS_DIR),
    ("/" + 256 * "n", Number.NAME_TOO_LONG),
]


@pytest.fixture
def furnished(root: Path, tmp_path: Path) -> Path:
    """The root with a file, a directory, and a link to the outside."""
    (root / "file").write_bytes(OLD)
    (root / "directory").mkdir()
    (root / "outward").symlink_to(tmp_path)
    return root


def tree(top: Path) -> set[str]:
    """Every path below."""
    return {str(path.relative_to(top)) for path in top.rglob("*")}


@pytest.mark.parametrize(("path", "number"), REFUSED)
def test_a_put_out_of_the_root_writes_nothing(
    channel: Channel, furnished: Path, tmp_path: Path, path: str, number: Number
) -> None:
    """It is refused before an octet is taken."""
    before = tree(tmp_path)
    for verb in ("putfile", "deliver"):
        channel.say(f"{verb} {path} 420 100000\n".encode())
        assert channel.line() == b"%d" % number
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("path", "number"), REFUSED)
def test_a_refused_small_delivery_is_taken_off_the_wire(
    channel: Channel, furnished: Path, tmp_path: Path, path: str, number: Number
) -> None:
    """Its octets are never read as a request."""
    before = tree(tmp_path)
    channel.say(delivery(path, b"unlink /file\n") + b"whoami 6\n")
    assert lines(channel, 2) == [b"%d" % number, b"6"]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [b"/a%0Ab", b"/a%0Db", b"/a%00b", b"/a%", b"/a%4"])
def test_a_name_that_could_not_be_listed_is_refused(channel: Channel, root: Path, name: bytes) -> None:
    """Line breaks, NUL and broken quotes."""
    channel.say(b"putfile %b 420 1\n" % name)
    assert channel.line() == b"%d" % Number.INVALID_REQUEST
    assert tree(root) == set()


@pytest.mark.parametrize(
    ("length", "number"),
    [(b"-1", Number.INVALID_REQUEST), (b"x", Number.INVALID_REQUEST), (b"%d" % 2**62, Number.NO_SPACE)],
)
def test_a_wrong_length_is_refused(channel: Channel, root: Path, length: bytes, number: Number) -> None:
    """Negative, no number, or more than any disk holds: nothing is written."""
    (root / "f").write_bytes(OLD)
    for verb in (b"putfile", b"deliver"):
        channel.say(b"%b /f 420 %b\n" % (verb, length))
        assert channel.line() == b"%d" % number
    assert (root / "f").read_bytes() == OLD


@pytest.mark.parametrize("verb", ["putfile", "deliver"])
@pytest.mark.parametrize("part", [0, 1, 2_000_000, 2_999_999, 3_000_000])
def test_half_a_put_leaves_the_old_file_whole(root: Path, verb: str, part: int) -> None:
    """The client is gone in the middle: no octet of the new file is left, and the old one stands."""
    (root / "f").write_bytes(OLD)
    with guest_server(root) as port, client(port) as made:
        made.channel.say(f"{verb} /f 420 {3_000_001}\n".encode())
        assert made.channel.line() == b"0"
        assert len(os.listdir(root)) == 2
        made.channel.say(LARGE[:part])
        made.channel.flush()
        made.close()
    assert tree(root) == {"f"}
    assert (root / "f").read_bytes() == OLD


def test_a_put_replaces_a_link_and_not_what_it_points_to(channel: Channel, furnished: Path) -> None:
    """So that nothing is written through it."""
    (furnished / "link").symlink_to("file")
    channel.say(delivery("/link", b"new"))
    assert channel.line() == b"3"
    assert (furnished / "file").read_bytes() == OLD
    assert not (furnished / "link").is_symlink()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one megabyte."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tiny)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted; run as root (Debian package mount)")
    yield tiny
    subprocess.run(["umount", str(tiny)], check=True)


@pytest.mark.parametrize("verb", ["putfile", "deliver"])
def test_a_full_disk_is_told_and_the_old_file_stands(tiny: Path, verb: str) -> None:
    """When it fills while the file comes in: the octets are taken off the wire, and nothing of them stays."""
    (tiny / "f").write_bytes(OLD)
    with guest_server(tiny) as port, client(port) as made:
        made.channel.say(f"{verb} /f 420 900000\n".encode())
        assert made.channel.line() == b"0"
        (tiny / "other").write_bytes(bytes(600_000))
        trailer = b"" if verb == "putfile" else b"%d\n" % zlib.crc32(LARGE[:900_000])
        made.channel.say(LARGE[:900_000] + trailer + b"whoami 6\n")
        assert lines(made.channel, 2) == [b"%d" % Number.NO_SPACE, b"6"]
        assert sorted(os.listdir(tiny)) == ["f", "other"]
    assert (tiny / "f").read_bytes() == OLD


def test_what_does_not_fit_is_refused_at_once(tiny: Path) -> None:
    """Before an octet of it moves."""
    with guest_server(tiny) as port, client(port) as made, pytest.raises(ChirpError) as refused:
        made.call("putfile", "/f", 0o644, 2_000_000)
    assert refused.value.number is Number.NO_SPACE


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_is_got_as_it_stands(channel: Channel, root: Path, size: int) -> None:
    """getfile gives its octets; fetch gives its permissions before and its checksum behind them."""
    (root / "f").write_bytes(LARGE[:size])
    (root / "f").chmod(0o750)
    channel.say(b"getfile /f\nfetch /f\n")
    assert channel.line() == b"%d" % size
    assert channel.octets(size) == LARGE[:size]
    assert lines(channel, 2) == [b"%d" % size, b"%d" % 0o750]
    assert channel.octets(size) == LARGE[:size]
    assert channel.line() == b"%d" % zlib.crc32(LARGE[:size])


@pytest.mark.parametrize("verb", ["getfile", "fetch", "md5"])
@pytest.mark.parametrize(
    ("path", "number"),
    [
        *[(path, number) for path, number in REFUSED if number is Number.NOT_AUTHORIZED],
        ("/missing", Number.DOESNT_EXIST),
        ("/directory", Number.IS_DIR),
        ("/pipe", Number.IS_A_PIPE),
        ("/outward/secret", Number.NOT_AUTHORIZED),
        ("/absolute", Number.NOT_AUTHORIZED),
        ("/upward", Number.NOT_AUTHORIZED),
        ("/loop", Number.NOT_AUTHORIZED),
        ("/sneaky", Number.NOT_AUTHORIZED),
    ],
)
def test_nothing_outside_is_got(channel: Channel, furnished: Path, verb: str, path: str, number: Number) -> None:
    """Not by climbing, not by a link, not from the server's own; and a pipe does not make the server wait."""
    os.mkfifo(furnished / "pipe")
    (furnished / "absolute").symlink_to("/etc/hostname")
    (furnished / "upward").symlink_to("../secret")
    (furnished / "loop").symlink_to("loop")
    (furnished / "sneaky").symlink_to("directory/../../secret")
    channel.say(f"{verb} {path}\n".encode())
    assert channel.line() == b"%d" % number


def test_a_link_that_stays_inside_is_followed(channel: Channel, furnished: Path) -> None:
    """Also when it climbs on its way, as long as it stays below the root."""
    (furnished / "directory" / "link").symlink_to("../directory/../file")
    (furnished / "latest").symlink_to("directory")
    channel.say(b"getfile /latest/link\n")
    assert channel.line() == b"%d" % len(OLD)
    assert channel.octets(len(OLD)) == OLD


@pytest.mark.parametrize("verb", ["getfile", "fetch"])
def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(channel: Channel, root: Path, verb: str) -> None:
    """Its length was promised: missing octets can only be told by hanging up."""
    with (root / "f").open("wb") as file:
        file.truncate(200_000_000)
    channel.say(f"{verb} /f\n".encode())
    assert channel.line() == b"200000000"
    os.truncate(root / "f", 1000)
    with pytest.raises(Hangup):
        channel.receive_body(200_000_000)


def test_digests_are_told_as_raw_octets(guest: ChirpClient, root: Path) -> None:
    """MD5 and SHA-1, as the reference server has them; others are invalid."""
    (root / "f").write_bytes(LARGE)
    assert guest.channel.octets(guest.call("md5", "/f")) == hashlib.md5(LARGE).digest()
    assert guest.digest("/f") == hashlib.sha1(LARGE).digest()
    with pytest.raises(ChirpError) as refused:
        guest.call("hash", "sha256", "/f")
    assert refused.value.number is Number.INVALID_REQUEST


@pytest.mark.parametrize("name", ["a b", "né", "日本語", "\"'<>\\{}%", "\t", "-rf", "a" * 255, "\udcff"])
def test_odd_names_are_names_like_others(guest: ChirpClient, root: Path, name: str) -> None:
    """They come back from the listing as they were put."""
    guest.channel.say(delivery(f"/{quote(name)}", b"x"))
    assert guest.channel.line() == b"1"
    assert [found for found, _ in guest.list("/")] == [name]
    assert (root / name).read_bytes() == b"x"
