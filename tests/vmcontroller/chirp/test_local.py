"""The host's side: what arrives, what can be copied, and what a guest may not do to the host."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vmcontroller.chirp.local import Item, Landing, check_item, check_name, survey
from vmcontroller.errors import TransferFailed
from vmcontroller.wire.chirp import Stat


def link(name: str, target: str) -> Item:
    """A symbolic link in a tree."""
    return Item(name, Stat(*[0] * 13)._replace(mode=stat.S_IFLNK | 0o777), target)


def test_a_file_arrives_whole_under_its_name(tmp_path: Path) -> None:
    """With its permissions, but never with those of another user."""
    landing = Landing()
    with landing.file(tmp_path / "f", 0o106751) as arrival:
        arrival.write(memoryview(b"new"))
        arrival.keep()
    landing.settle()
    assert (tmp_path / "f").read_bytes() == b"new"
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o751


def test_a_file_that_does_not_arrive_leaves_the_old_one(tmp_path: Path) -> None:
    """Nothing else remains; and until it is kept, the old one is there."""
    (tmp_path / "f").write_bytes(b"old")
    with Landing().file(tmp_path / "f", 0o644) as arrival:
        arrival.write(memoryview(b"new"))
        assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    """A directory stands there."""
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError), Landing().file(tmp_path / "f", 0o644) as arrival:
        arrival.keep()
    assert os.listdir(tmp_path) == ["f"]


def test_a_survey_has_parents_before_children(tmp_path: Path) -> None:
    """Empty directories and links included."""
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "f é").write_text("four")
    (tmp_path / "a" / "up").symlink_to("../z")
    (tmp_path / "z").write_text("")
    items = survey(tmp_path)
    assert [item.name for item in items] == ["a", "a/empty", "a/f é", "a/up", "z"]
    assert [item.target for item in items if item.status.is_link()] == ["../z"]


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../x", "b/../../x", "."])
def test_a_link_that_leads_out_cannot_be_copied(tmp_path: Path, target: str) -> None:
    """The sentence names it; the top itself is inside."""
    (tmp_path / "link").symlink_to(target)
    if target == ".":
        assert len(survey(tmp_path)) == 1
    else:
        with pytest.raises(TransferFailed, match="link: this symbolic link leads out"):
            survey(tmp_path)


def test_what_is_no_file_cannot_be_copied(tmp_path: Path) -> None:
    """A pipe."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TransferFailed, match="neither a file, a directory nor a link"):
        survey(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", ".__acl"])
def test_a_name_that_the_guest_would_refuse_is_told_before_anything_is_copied(tmp_path: Path, name: str) -> None:
    """Line breaks, and the server's own names."""
    (tmp_path / name).write_text("")
    with pytest.raises(TransferFailed, match="cannot be copied"):
        survey(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc", "a/b", "../a"])
def test_a_guest_cannot_name_a_file_into_another_directory(name: str) -> None:
    """Its listing is not trusted."""
    with pytest.raises(TransferFailed):
        check_name(name, "shown")


@pytest.mark.parametrize(("name", "target"), [("l", "../x"), ("a/l", "../../x"), ("a/l", "/x"), ("l", "a/../../x")])
def test_a_guest_cannot_make_a_link_that_leads_out(name: str, target: str) -> None:
    """Its links are not trusted."""
    with pytest.raises(TransferFailed, match="leads out"):
        check_item(link(name, target), "shown")


def test_a_directory_is_not_made_through_a_link(tmp_path: Path) -> None:
    """Nor where a file stands; one that is there will do."""
    (tmp_path / "d").mkdir()
    Landing().directory(tmp_path / "d", 0o755)
    (tmp_path / "link").symlink_to("d")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(TransferFailed, match="stands in the way"):
            Landing().directory(tmp_path / name, 0o755)


def test_a_link_replaces_what_is_there_but_no_directory(tmp_path: Path) -> None:
    """Nothing else remains."""
    (tmp_path / "f").write_text("")
    Landing().link("target", tmp_path / "f")
    assert os.readlink(tmp_path / "f") == "target"
    (tmp_path / "d").mkdir()
    with pytest.raises(IsADirectoryError):
        Landing().link("target", tmp_path / "d")
    assert sorted(os.listdir(tmp_path)) == ["d", "f"]
