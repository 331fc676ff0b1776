"""wrapper_checkpoint.txt: the stock wrapper's form, and those of its forerunners."""

from __future__ import annotations

from pathlib import Path

import pytest

from wrapper import checkpoint
from wrapper.checkpoint import Checkpoint


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """In the stock wrapper's format, and with nothing else left in the slot."""
    checkpoint.write(tmp_path, Checkpoint(2, 12.5, 99.25))
    assert (tmp_path / "wrapper_checkpoint.txt").read_text() == "2 12.500000 99.250000\n"
    assert checkpoint.read(tmp_path) == Checkpoint(2, 12.5, 99.25)
    assert [path.name for path in tmp_path.iterdir()] == ["wrapper_checkpoint.txt"]


@pytest.mark.parametrize("text", ["", "1", "1 2", "x 1 2", "1 2 y", "-1 2 3"])
def test_a_file_with_a_field_missing_is_a_first_start(tmp_path: Path, text: str) -> None:
    """All three fields must be numbers."""
    (tmp_path / "wrapper_checkpoint.txt").write_text(text)
    assert checkpoint.read(tmp_path) is None


def test_no_file_is_a_first_start(tmp_path: Path) -> None:
    """There is nothing to go on from."""
    assert checkpoint.read(tmp_path) is None


def test_the_file_of_2009_is_read(tmp_path: Path) -> None:
    """Older wrappers wrote checkpoint.txt with the number of tasks and the CPU time."""
    (tmp_path / "checkpoint.txt").write_text("1 3.5\n")
    assert checkpoint.read(tmp_path) == Checkpoint(1, 3.5)


def test_another_checkpoint_txt_is_not_ours(tmp_path: Path) -> None:
    """A program may call its own checkpoint so."""
    (tmp_path / "checkpoint.txt").write_text("step 12 of 99\n")
    assert checkpoint.read(tmp_path) is None


def test_the_old_file_stays_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    """A write that fails destroys nothing."""
    checkpoint.write(tmp_path, Checkpoint(1))
    (tmp_path / "wrapper_checkpoint.txt.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        checkpoint.write(tmp_path, Checkpoint(2))
    assert checkpoint.read(tmp_path) == Checkpoint(1)
