"""unzip_input and zip_output in detail."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from job_xml.model import ZipOutput
from wrapper.archives import BadArchive, note_initial_files, unzip_inputs, zip_outputs


def archive(path: Path, members: dict[str, tuple[int, str]]) -> None:
    """A zip as Info-ZIP makes it: with modes and links."""
    with zipfile.ZipFile(path, "w") as zipped:
        for name, (mode, text) in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            zipped.writestr(info, text)


def test_programs_stay_executable_and_links_stay_links(tmp_path: Path) -> None:
    """As the stock wrapper's unzip leaves them."""
    members = {"run": (stat.S_IFREG | 0o755, "x"), "d/data": (stat.S_IFREG | 0o600, "y"), "l": (stat.S_IFLNK, "run")}
    archive(tmp_path / "in.zip", members)
    unzip_inputs(tmp_path, ["in.zip"])
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755
    assert (tmp_path / "d" / "data").read_text() == "y"
    assert os.readlink(tmp_path / "l") == "run"


def test_nothing_leaves_the_slot(tmp_path: Path) -> None:
    """Neither a name with .. nor a link out."""
    slot = tmp_path / "slot"
    slot.mkdir()
    archive(slot / "in.zip", {"../out": (stat.S_IFREG | 0o644, "x"), "l": (stat.S_IFLNK, "../../etc/passwd")})
    unzip_inputs(slot, ["in.zip"])
    assert [path.name for path in tmp_path.iterdir()] == ["slot"]
    assert not (slot / "l").is_symlink()


def test_the_link_goes_and_the_archive_stays(tmp_path: Path) -> None:
    """The project's copy behind the soft link is not the slot's to delete; what is not there is passed over."""
    slot = tmp_path / "slot"
    slot.mkdir()
    archive(tmp_path / "in_1.zip", {"a": (stat.S_IFREG | 0o644, "x")})
    (slot / "in.zip").write_text("<soft_link>../in_1.zip</soft_link>")
    unzip_inputs(slot, ["in.zip", "absent.zip"])
    assert sorted(path.name for path in slot.iterdir()) == ["a"]
    assert (tmp_path / "in_1.zip").exists()


@pytest.mark.parametrize("octets", [b"no archive", b""])
def test_an_archive_that_is_none_stays(tmp_path: Path, octets: bytes) -> None:
    """It is named, and is there for whoever wants to see what it is."""
    (tmp_path / "in.zip").write_bytes(octets)
    with pytest.raises(BadArchive, match=r"in\.zip cannot be unpacked"):
        unzip_inputs(tmp_path, ["in.zip"])
    assert (tmp_path / "in.zip").read_bytes() == octets


def test_a_member_that_is_damaged(tmp_path: Path) -> None:
    """No file is taken whose checksum is wrong: the job does not begin."""
    archive(tmp_path / "in.zip", {"a": (stat.S_IFREG | 0o644, "data")})
    octets = (tmp_path / "in.zip").read_bytes()
    (tmp_path / "in.zip").write_bytes(octets.replace(b"data", b"dada"))
    with pytest.raises(BadArchive, match="CRC"):
        unzip_inputs(tmp_path, ["in.zip"])
    assert (tmp_path / "in.zip").exists()


def test_new_files_that_match_are_packed_behind_the_link(tmp_path: Path) -> None:
    """Files of the first start, directories and the wrapper's own files stay out."""
    (tmp_path / "old").write_text("")
    (tmp_path / "out.zip").write_text("<soft_link>real.zip</soft_link>")
    note_initial_files(tmp_path)
    for name in ("new", "boinc_lockfile"):
        (tmp_path / name).write_text("x")
    (tmp_path / "directory").mkdir()
    zip_outputs(tmp_path, ZipOutput("out.zip", (".*",)))
    with zipfile.ZipFile(tmp_path / "real.zip") as zipped:
        assert zipped.namelist() == ["new"]
    assert not (tmp_path / "temp.zip").exists()


def test_an_archive_that_is_there_stays(tmp_path: Path) -> None:
    """A wrapper that was restarted at the very end packs nothing twice."""
    (tmp_path / "out.zip").write_bytes(b"done")
    zip_outputs(tmp_path, ZipOutput("out.zip", (".*",)))
    assert (tmp_path / "out.zip").read_bytes() == b"done"


def test_what_cannot_be_packed_leaves_nothing_half_done(tmp_path: Path) -> None:
    """The message names the archive."""
    with pytest.raises(BadArchive, match=r"no/such/out\.zip cannot be packed"):
        zip_outputs(tmp_path, ZipOutput("no/such/out.zip", ()))
    assert list(tmp_path.iterdir()) == []
