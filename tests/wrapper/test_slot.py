"""Soft links and the lock of the slot directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.wrapper.harness import ROOT
from wrapper.slot import SlotLock, resolve


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("<soft_link>../../projects/p/in_1</soft_link>\n", "../../projects/p/in_1"),
        ("<soft_link> ../a&amp;b </soft_link>", "../a&b"),
        ("junk <soft_link>../x</soft_link> junk", "../x"),
        ("plain text", "in"),
        ("", "in"),
        ("\n<soft_link>../second/line</soft_link>", "in"),
    ],
)
def test_soft_links(tmp_path: Path, text: str, path: str) -> None:
    """The first line decides, unescaped and stripped."""
    (tmp_path / "in").write_text(text)
    assert resolve(tmp_path, "in") == path


def test_what_is_no_file_stands_for_itself(tmp_path: Path) -> None:
    """Absent files and symbolic links are taken as they are."""
    (tmp_path / "link").symlink_to("elsewhere")
    assert resolve(tmp_path, "absent") == "absent"
    assert resolve(tmp_path, "link") == "link"


def test_a_lock_keeps_another_process_out(tmp_path: Path) -> None:
    """As long as it is held; afterwards the file is gone."""
    attempt = "import sys; from pathlib import Path; from wrapper.slot import SlotLock; "
    attempt += "sys.exit(0 if SlotLock(Path(sys.argv[1])).take() else 9)"
    command = [sys.executable, "-c", attempt, str(tmp_path)]
    lock = SlotLock(tmp_path)
    assert lock.take()
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    lock.release()
    assert list(tmp_path.iterdir()) == []
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
