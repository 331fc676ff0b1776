"""The verbs on names: listings, directories, links, and what may not be touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmcontroller.channel import Channel
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.wire.chirp import ChirpError, Number


def refusal(guest: ChirpClient, verb: str, *arguments: str | int) -> Number:
    """The number with which a request is refused."""
    with pytest.raises(ChirpError) as refused:
        guest.call(verb, *arguments)
    return refused.value.number


def names(channel: Channel) -> list[bytes]:
    """A listing."""
    assert channel.line() == b"0"
    return list(iter(channel.line, b""))


def test_a_listing_holds_every_name_but_the_servers_own(guest: ChirpClient, root: Path) -> None:
    """With the directory and its parent, and what each is; links are told as links."""
    (root / "file").write_text("four")
    (root / ".hidden").write_text("")
    (root / ".__acl").write_text("")
    (root / "link").symlink_to("file")
    (root / "directory").mkdir()
    found = dict(guest.list("/"))
    assert set(found) == {"file", ".hidden", "link", "directory"}
    assert found["file"].size == 4
    assert found["link"].is_link()
    assert found["directory"].is_directory()
    guest.channel.say(b"getdir /\n")
    assert sorted(names(guest.channel)) == sorted(b". .. file .hidden link directory".split())


def test_a_line_break_in_a_name_does_not_break_a_listing(guest: ChirpClient, root: Path) -> None:
    """A command in the guest may have made such a file."""
    (root / "a\nb").write_text("")
    (root / "c").write_text("")
    assert sorted(name for name, _ in guest.list("/")) == ["a?b", "c"]


def test_stat_follows_links_and_lstat_does_not(guest: ChirpClient, root: Path) -> None:
    """As in the operating system."""
    (root / "file").write_text("four")
    (root / "link").symlink_to("file")
    assert guest.stat("/link").is_file()
    guest.channel.say(b"lstat /link\n")
    assert guest.channel.line() == b"0"
    assert int(guest.channel.line().split()[2]) & 0o170000 == 0o120000


def test_directories_are_made_and_removed(guest: ChirpClient, root: Path) -> None:
    """An empty one by rmdir, a full one by rmall alone."""
    guest.call("mkdir", "/d", 0o755)
    guest.call("mkdir", "/d/e", 0o700)
    assert refusal(guest, "mkdir", "/d", 0o755) is Number.ALREADY_EXISTS
    assert refusal(guest, "rmdir", "/d") is Number.NOT_EMPTY
    assert refusal(guest, "unlink", "/d") is Number.IS_DIR
    guest.call("rmdir", "/d/e")
    (root / "d" / "f").write_text("")
    guest.call("rmall", "/d")
    assert os.listdir(root) == []


def test_rmall_does_not_go_through_links(guest: ChirpClient, root: Path, tmp_path: Path) -> None:
    """What lies outside stays, and so does the root itself."""
    (root / "d").mkdir()
    (root / "d" / "out").symlink_to(tmp_path)
    (root / "out").symlink_to(tmp_path)
    guest.call("rmall", "/d")
    guest.call("rmall", "/out")
    assert refusal(guest, "rmall", "/") is Number.NOT_AUTHORIZED
    assert (tmp_path / "secret").read_text() == "secret"
    assert os.listdir(root) == []


def test_a_file_is_moved_over_another(guest: ChirpClient, root: Path) -> None:
    """At once."""
    (root / "a").write_text("new")
    (root / "b").write_text("old")
    guest.call("rename", "/a", "/b")
    assert (root / "b").read_text() == "new"
    assert os.listdir(root) == ["b"]


@pytest.mark.parametrize("target", ["/etc", "../out", "a/../../out", "x/../.."])
def test_no_link_to_the_outside_is_made(guest: ChirpClient, root: Path, target: str) -> None:
    """Neither absolute nor climbing."""
    assert refusal(guest, "symlink", target, "/link") is Number.NOT_AUTHORIZED
    assert os.listdir(root) == []


def test_links_inside_are_made_and_read(guest: ChirpClient, root: Path) -> None:
    """A target may climb as long as it stays below the root."""
    (root / "d").mkdir()
    guest.call("symlink", "../a b", "/d/link")
    assert os.readlink(root / "d" / "link") == "../a b"
    assert guest.read_link("/d/link") == "../a b"
    assert guest.channel.octets(guest.call("readlink", "/d/link", 4)) == b"../a"


def test_permissions_sizes_and_times_are_set(guest: ChirpClient, root: Path) -> None:
    """Of a file inside."""
    (root / "f").write_text("12345")
    guest.call("chmod", "/f", 0o4751)
    guest.call("truncate", "/f", 3)
    guest.call("utime", "/f", 1, 2)
    guest.call("access", "/f", os.R_OK)
    status = guest.stat("/f")
    assert (status.mode & 0o7777, status.size, status.atime, status.mtime) == (0o751, 3, 1, 2)


@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("stat", ()),
        ("chmod", (0o777,)),
        ("truncate", (0,)),
        ("utime", (1, 1)),
        ("unlink", ()),
        ("rmall", ()),
        ("rmdir", ()),
        ("mkdir", (0o755,)),
        ("getdir", ()),
        ("getlongdir", ()),
        ("access", (0,)),
        ("readlink", (100,)),
        ("open", ("rw", 0)),
        ("statfs", ()),
    ],
)
@pytest.mark.parametrize("path", ["/../secret", "/out/secret", "/.__incoming"])
def test_no_verb_reaches_outside(
    guest: ChirpClient, root: Path, tmp_path: Path, verb: str, rest: tuple[str | int, ...], path: str
) -> None:
    """Not by climbing, not through a link, not into the server's own."""
    (root / "out").symlink_to(tmp_path)
    before = (tmp_path / "secret").stat()
    assert refusal(guest, verb, path, *rest) is Number.NOT_AUTHORIZED
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "secret").stat().st_mode == before.st_mode


@pytest.mark.parametrize("paths", [("/../secret", "/f"), ("/f", "/../f"), ("/out/secret", "/f"), ("/f", "/.__acl")])
def test_nothing_is_moved_out_or_in(guest: ChirpClient, root: Path, tmp_path: Path, paths: tuple[str, str]) -> None:
    """Neither end of a rename may lie outside."""
    (root / "f").write_text("")
    (root / "out").symlink_to(tmp_path)
    assert refusal(guest, "rename", *paths) is Number.NOT_AUTHORIZED
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize("verb", ["setacl", "getacl", "thirdput", "whoareyou", "localpath", "ticket_create", "search"])
def test_what_is_not_served_is_an_invalid_request(guest: ChirpClient, verb: str) -> None:
    """And the connection goes on."""
    assert refusal(guest, verb, "/") is Number.INVALID_REQUEST
    assert guest.call("whoami", 6) == 6


def test_the_disk_is_told(guest: ChirpClient, root: Path) -> None:
    """Seven numbers."""
    guest.call("statfs", "/")
    told = [int(word) for word in guest.channel.line().split()]
    assert told[1:3] == [os.statvfs(root).f_frsize, os.statvfs(root).f_blocks]
    assert len(told) == 7


def test_our_verbs_are_named(guest: ChirpClient) -> None:
    """So that a client knows whom it speaks with."""
    guest.channel.say(b"verbs\n")
    assert names(guest.channel) == [b"deliver", b"fetch"]


def test_a_client_may_say_good_bye(channel: Channel) -> None:
    """With an octet 4 at the beginning of a line; empty lines are ignored."""
    channel.say(b"\n\n\x04\n")
    with pytest.raises(Exception, match="closed"):
        channel.line()
