"""Files that are no job: one line, the stock wrapper's exit code, at once and in little memory."""

from __future__ import annotations

import os
import resource
import time
import tracemalloc
from pathlib import Path

import pytest

from job_xml.lint import lint
from job_xml.parse import MOST_OCTETS, read
from job_xml.problems import EXIT_BAD_FILE, EXIT_FAILED, EXIT_NO_FILE, MOST_PROBLEMS, JobError, Problem
from tests.job_xml.reading import in_job, refused, written
from tests.users import plain_user


def error_of(path: Path) -> JobError:
    """What reading a path ends in."""
    with pytest.raises(JobError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return caught.value


def test_no_file(tmp_path: Path) -> None:
    """A missing job.xml has an exit code of its own."""
    assert error_of(tmp_path / "job.xml").exit_code == EXIT_NO_FILE
    assert error_of(tmp_path / "a\0b").exit_code == EXIT_NO_FILE


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_file_that_may_not_be_read() -> None:
    """A job.xml that cannot be opened is as good as none."""
    with plain_user() as home:
        path = written(home, in_job(""))
        path.chmod(0)
        assert error_of(path).exit_code == EXIT_NO_FILE


def test_a_directory(tmp_path: Path) -> None:
    """What is not a file is not opened."""
    assert error_of(tmp_path).exit_code == EXIT_BAD_FILE


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe that nobody writes to is refused, not opened."""
    os.mkfifo(tmp_path / "job.xml")
    assert error_of(tmp_path / "job.xml").exit_code == EXIT_BAD_FILE


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (b" \n\n ", 1, "the file is empty"),
        (b"\nnot XML at all\n", 1, 'the file starts with "not XML at all"'),
        (b"<no end\n", 1, "there is no <job_desc>"),
        (b"not XML at all <b>", 1, 'starts with "not XML at all"'),
        (b"<html><body></body></html>", 1, "the first element is <html>"),
        (b"<vbox_job></vbox_job>", 1, "the first element is <vbox_job>"),
        (b"<soft_link>../../projects/p/job_1.xml</soft_link>", 1, "the first element is <soft_link>"),
        (b"<job_desc/>", 1, "<job_desc> is empty"),
        (b"<job_desc xmlns='http://example.org/'></job_desc>", 1, "attribute with a slash"),
        (b"<job_desc>\n<task>\n", 3, "the file ends before </job_desc>, in the <task> of line 2"),
        (b"<job_desc>\n</task>\n", 3, "the file ends before </job_desc>"),
        (b"<job_desc>\n<task>\n</job_desc>", 3, "the file ends before </job_desc>, in the <task> of line 2"),
        (b"<job_desc>\n<task>\0</task></job_desc>", 2, "NUL"),
        (b"\0", 1, "NUL"),
        (b"<job_desc>\n" + b"x" * 5000, 2, "more text than the stock wrapper has room for"),
        (b"\xef\xbb\xbf<job_desc></job_desc>", 1, "byte order mark"),
        ("<job_desc></job_desc>".encode("utf-16"), 1, "byte order mark"),
        (b"\x7fELF" + bytes(range(256)), 1, "NUL"),
        (b"<!DOCTYPE job_desc [<!ENTITY a 'b'>]>\n<job_desc></job_desc>", 1, "document type"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE job_desc SYSTEM 'file:///etc/passwd'><job_desc></job_desc>", 2, "type"),
        (b'<!DOCTYPE a PUBLIC "-//W3C//DTD a 1.0//EN" "http://x/y"><job_desc></job_desc>', 1, "<!DOCTYPE …> declares"),
        (b"<?xml version='1.0'?><?xml-model href='x'?>\n<job_desc></job_desc>", 1, "the first element is <?xml-model>"),
    ],
)
def test_no_job(tmp_path: Path, content: bytes, line: int, words: str) -> None:
    """What the stock wrapper does not start, this one does not start either, and says why."""
    error = refused(tmp_path, content)
    assert words in str(error)
    assert (error.line, error.exit_code) == (line, EXIT_BAD_FILE)
    assert error.remedy


@pytest.mark.parametrize("pattern", ["(", "[a-", "a**", "(?P<n>a)", "(?i)a", "(?<=a)b", "[[:nothing:]]"])
def test_a_pattern_that_is_none(tmp_path: Path, pattern: str) -> None:
    """An archive's pattern that no wrapper could use ends the job with the stock exit code."""
    escaped = pattern.replace("<", "&lt;")
    inside = f"<zipfilename>z</zipfilename>\n<filename>{escaped}</filename>"
    error = refused(tmp_path, in_job(f"<zip_output>{inside}</zip_output>"))
    assert (error.line, error.exit_code) == (3, EXIT_FAILED)


def test_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    """The size of a file is looked at while it is read, and no more of it than could be a job."""
    path = tmp_path / "job.xml"
    with path.open("wb") as file:
        file.write(b"<job_desc>\n")
        file.truncate(1024**3)
    tracemalloc.start()
    started = time.monotonic()
    assert error_of(path).exit_code == EXIT_BAD_FILE
    assert time.monotonic() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 8 * MOST_OCTETS
    tracemalloc.stop()


def filled(piece: bytes, size: int) -> bytes:
    """A file of this size, full of one piece."""
    return (b"<job_desc><task>" + piece * (size // len(piece)))[:size]


@pytest.mark.parametrize(
    "piece",
    [
        *(
            b"<a>",
            b"<a/>",
            b"</a>",
            b"<",
            b">",
            b"&",
            b"<!--",
            b"<!---->",
            b"<![CDATA[",
            b"<![CDATA[]]>",
            b"\n",
            b"\xff",
        ),
        *(
            b"<task>",
            b"</task>",
            b"<weight>x</weight>",
            b"<cpus>x</cpus>",
            b"<virtualmachine>",
            b"<setenv/>",
            b"&#x41;",
        ),
        *(
            b"<task></task>",
            b"<a b='c'>",
            b"&#1;<b>",
            b"<virtualmachine>v</virtualmachine></task><task>",
            b"<!DOCTYPE a>",
        ),
    ],
)
def test_hostile_files_cost_little(tmp_path: Path, piece: bytes) -> None:
    """Whatever fills a file, the checker is soon done, in little memory, and brief."""
    path = written(tmp_path, filled(piece, MOST_OCTETS // 8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    problems = lint(path)
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert 0 < len(problems) <= MOST_PROBLEMS + 2


def test_the_largest_file(tmp_path: Path) -> None:
    """A file of the largest size, of the shortest unknown elements, is read to its end."""
    path = written(tmp_path, filled(b"<a>", MOST_OCTETS))
    started = time.process_time()
    assert error_of(path).exit_code == EXIT_BAD_FILE
    assert time.process_time() - started < 10


def test_problems_without_number_are_counted(tmp_path: Path) -> None:
    """A file full of mistakes is not listed to the end."""
    problems: tuple[Problem, ...] = lint(written(tmp_path, in_job("<a/>\n" * 1000)))
    assert f"more problems are not shown ({1000 - MOST_PROBLEMS + 1})" in str(problems[-1])
    assert len(problems) == MOST_PROBLEMS + 1
