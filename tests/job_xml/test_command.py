"""The console script: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from job_xml.command import main
from tests.job_xml.reading import in_job, in_task, in_vm, written

CLEAN = in_task("<application>a</application>")
WARNED = in_job("")
WRONG = in_task("<application>a</application>\n<wieght/>")


@pytest.mark.parametrize(
    ("content", "options", "code", "last"),
    [
        (CLEAN, [], 0, "1 file: no errors, no warnings, no notes"),
        (CLEAN, ["--strict"], 0, "1 file: no errors, no warnings, no notes"),
        (WARNED, [], 0, "1 file: no errors, 1 warning, no notes"),
        (WARNED, ["--strict"], 1, "1 file: no errors, 1 warning, no notes"),
        (in_vm(""), ["--strict"], 0, "1 file: no errors, no warnings, 1 note"),
        (WRONG, [], 1, "1 file: 1 error, no warnings, no notes"),
    ],
)
def test_lint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], code: int, last: str
) -> None:
    """One line for each problem, a summary at the end, and an exit code for scripts."""
    assert main(["lint", *options, str(written(tmp_path, content))]) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_a_line_for_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FILE:LINE: severity: what is wrong; what to write."""
    path = written(tmp_path, WRONG)
    main(["lint", str(path), str(tmp_path / "none.xml")])
    first, second, summary = capsys.readouterr().out.splitlines()
    assert first == f"{path}:4: error: <wieght/> is no element of <task>, and is ignored; did you mean <weight>?"
    assert second.startswith(f"{tmp_path / 'none.xml'}: error: it cannot be opened (No such file or directory); ")
    assert summary == "2 files: 2 errors, no warnings, no notes"


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as JSON."""
    path = written(tmp_path, WRONG)
    assert main(["lint", "--json", str(path)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["summary"] == {"files": 1, "errors": 1, "warnings": 0, "notes": 0}
    (problem,) = said["problems"]
    assert (problem["file"], problem["line"], problem["severity"]) == (str(path), 4, "error")
    assert problem["exit_code"] == 0
    assert problem["remedy"] == "did you mean <weight>?"


@pytest.mark.parametrize("arguments", [[], ["lint"], ["nothing"], ["lint", "--what", "x"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Exit code 2, and how it is used."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: job-xml" in capsys.readouterr().err


def test_names_that_no_terminal_can_show(tmp_path: Path) -> None:
    """A file's name, and what is in it, may be any octets; the output stays text in any locale."""
    path = tmp_path / "caf\u00e9 \udcff.xml"
    path.write_bytes(b"<job_desc><task>\xff\x1b[31m\xc3\xa9</task></job_desc>")
    done = subprocess.run(
        [sys.executable, "-m", "job_xml", "lint", path],
        capture_output=True,
        check=False,
        env={
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert done.stdout.isascii()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`job-xml lint … | head` is no reason for a traceback."""
    path = written(tmp_path, in_job("<a/>\n" * 90))
    command = f"{sys.executable} -m job_xml lint {' '.join([str(path)] * 50)} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=60)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
