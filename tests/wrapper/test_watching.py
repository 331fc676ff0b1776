"""The files by which a program tells how far it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wrapper.watching import CheckpointFile, fraction_in


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("0.25\n", 0.25),
        ("0.1\n0.2\n0.3", 0.3),
        ("0.5 of all\n", 0.5),
        ("0.4\nand so on\n", 0.4),
        ("-1\n", 0.0),
        ("7\n", 1.0),
        ("1e-1\n", 0.1),
        ("nothing\n", 0.0),
        ("", 0.0),
        ("0.9\n" + "x" * 40, 0.0),
    ],
)
def test_the_last_line_that_starts_with_a_number_counts(tmp_path: Path, text: str, fraction: float) -> None:
    """Of the last 32 octets, clamped to 0..1, as the stock wrapper reads it."""
    (tmp_path / "fraction").write_text(text)
    assert fraction_in(tmp_path / "fraction") == fraction


def test_no_file_is_no_progress(tmp_path: Path) -> None:
    """It may come later."""
    assert fraction_in(tmp_path / "absent") == 0.0


def test_the_first_checkpoint_counts(tmp_path: Path) -> None:
    """Unlike with the stock wrapper, which takes the first file that it sees for an old one."""
    watch = CheckpointFile(tmp_path, "cp")
    assert not watch.changed()
    (tmp_path / "cp").write_text("1")
    assert watch.changed()
    assert not watch.changed()


def test_a_file_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    """Only what is written after the program began is a checkpoint of this run."""
    (tmp_path / "cp").write_text("1")
    watch = CheckpointFile(tmp_path, "cp")
    assert not watch.changed()
    os.utime(tmp_path / "cp", ns=(1, 1))
    assert watch.changed()


def test_no_name_is_never_a_checkpoint(tmp_path: Path) -> None:
    """Also not when the slot itself changes."""
    watch = CheckpointFile(tmp_path, "")
    (tmp_path / "x").touch()
    assert not watch.changed()
