"""Whatever a file holds, reading it ends, in a job or in one line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job_xml.commandline import split
from job_xml.elements import GROUPS, JOB, TASK
from job_xml.lint import lint
from job_xml.model import Job
from job_xml.parse import read
from job_xml.problems import EXIT_BAD_FILE, EXIT_FAILED, JobError

NAMES = st.sampled_from([*TASK, *GROUPS, *JOB, "zipfilename", "filename", "job_desc", "unknown", "?pi", "!x"])
VALUES = st.one_of(
    st.sampled_from(["1", "0", "-1", "1e3", "nan", "a", "../a", "'a b'", "''", "boinc_resolve(", "$PWD", "&", "&#65;"]),
    st.sampled_from(["<![CDATA[", "]]>", "<!--", "-->", "\0", "x" * 300, "y" * 5000, "z" * 9000, "", " "]),
    st.text(max_size=20),
)
ELEMENTS = st.one_of(
    st.builds("<{0}>{1}</{0}>".format, NAMES, VALUES),
    st.builds("<{0}>{1}</{2}>".format, NAMES, VALUES, NAMES),
    st.builds("<{0}/>".format, NAMES),
    st.builds("<{0} a='{1}'>".format, NAMES, VALUES),
    VALUES,
)
DOCUMENTS = st.lists(ELEMENTS, max_size=20).map(
    lambda parts: "<job_desc><task>" + "\n".join(parts) + "</task></job_desc>"
)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """A file that each example writes anew."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "job.xml"


def outcome(path: Path) -> Job | JobError:
    """What reading a file comes to."""
    try:
        return read(path).job
    except JobError as error:
        return error


def ends_well(path: Path, content: bytes) -> None:
    """Read and check; nothing but JobError is raised, and both agree on whether there is a job."""
    path.write_bytes(content)
    found = outcome(path)
    stopped = any(problem.exit_code for problem in lint(path))
    if isinstance(found, JobError):
        assert "\n" not in str(found)
        assert found.exit_code in (EXIT_BAD_FILE, EXIT_FAILED)
        assert stopped
    else:
        assert not stopped
        assert 0 <= found.fraction_done(len(found.tasks), 0.5) <= 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=DOCUMENTS)
def test_documents(path: Path, content: str) -> None:
    """Documents of known and unknown elements, whole and broken."""
    ends_well(path, content.encode("utf-8", "surrogatepass"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300), start=st.sampled_from([b"", b"<job_desc>", b"<job_desc><task>"]))
def test_octets(path: Path, content: bytes, start: bytes) -> None:
    """Octets of any kind."""
    ends_well(path, start + content)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=1000))
def test_command_lines(line: str) -> None:
    """Any text splits into pieces of itself."""
    assert all(word in line for word in split(line))
