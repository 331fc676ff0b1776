"""``cp`` against the real daemon, broker and agents, all on this machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.loopback.operator import Done, Operator


class TestFiles:
    """``cp``."""

    NAME = "näme with 'quotes' and \"more\".bin"

    def test_a_file_there_and_back(self, vmc: Operator, tmp_path: Path) -> None:
        """Octets, mode and a difficult name."""
        (tmp_path / self.NAME).write_bytes(bytes(range(256)) * 9_000)
        (tmp_path / self.NAME).chmod(0o750)
        assert vmc("cp", str(tmp_path / self.NAME), "w1:") == Done(0, b"", "")
        assert vmc("cp", f"w1:{self.NAME}", str(tmp_path / "back")) == Done(0, b"", "")
        assert (tmp_path / "back").read_bytes() == (tmp_path / self.NAME).read_bytes()
        assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o750

    def test_a_program_can_be_run_where_it_was_put(self, vmc: Operator, tmp_path: Path) -> None:
        """The working directory is the one that files are put into."""
        (tmp_path / "tool").write_text("#!/bin/sh\necho it runs\n")
        (tmp_path / "tool").chmod(0o755)
        assert vmc("cp", str(tmp_path / "tool"), "w1:").code == 0
        assert vmc("run", "w1", "--", "./tool").out == b"it runs\n"

    def test_a_directory_there_and_back(self, vmc: Operator, tmp_path: Path) -> None:
        """Whole, empty ones included; into a directory that is there it goes under its own name."""
        (tmp_path / "dir" / "deep" / "empty").mkdir(parents=True)
        (tmp_path / "dir" / "deep" / "x").write_text("x")
        (tmp_path / "dir" / "nothing").touch()
        for _ in range(2):
            assert vmc("cp", str(tmp_path / "dir"), "w1:").code == 0
        assert vmc("cp", "w1:dir", str(tmp_path / "back")).code == 0
        found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*"))
        assert found == ["deep", "deep/empty", "deep/x", "nothing"]
        assert (tmp_path / "back" / "deep" / "x").read_text() == "x"

    def test_the_result_as_json(self, vmc: Operator, tmp_path: Path) -> None:
        """The transfer's last state."""
        (tmp_path / "f").write_bytes(bytes(1000))
        told = vmc("cp", "--json", str(tmp_path / "f"), "w2:g").json
        assert (told["state"], told["done"], told["total"]) == ("done", 1000, 1000)

    @pytest.mark.parametrize(
        ("argv", "says"),
        [
            (["/no/such/file", "w1:"], "/no/such/file"),
            (["w1:no-such-file", "."], "no-such-file"),
            (["w1:../../etc/passwd", "."], "etc/passwd"),
            (["nobody:x", "."], "nobody"),
            (["/etc/passwd", "nobody:"], "nobody"),
        ],
    )
    def test_what_cannot_be_copied_is_one_sentence(self, vmc: Operator, argv: list[str], says: str) -> None:
        """And nothing is written."""
        done = vmc.here("cp", *argv)
        assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
        assert says in done.err
