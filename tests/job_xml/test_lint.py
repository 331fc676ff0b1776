"""What the checker says: each trap, its line and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from job_xml.problems import Severity
from tests.job_xml.reading import complaints, in_job, in_task, in_vm, one

APP = "<application>app</application>\n"


@pytest.mark.parametrize(
    ("inside", "line", "words"),
    [
        ("<wieght>2</wieght>", 4, "did you mean <weight>?"),
        ("<is_daemon/>", 4, "write <daemon/>"),
        ("<passthrough>1</passthrough>", 4, "--passthrough_child"),
        ("<copy_files_to_VM>a</copy_files_to_VM>", 4, "one <copy_file_to_VM> for each"),
        ("<xyzzy/>", 4, "docs/reference/job-xml.md"),
        ("loose text", 4, '"loose text" stands in <task>'),
        ("</weight>", 4, "</weight> closes nothing"),
        ("<weight>much</weight>", 4, '<weight> is "much", and is ignored; write a number from 0 on'),
        ("<daemon>true</daemon>", 4, '<daemon> is "true", and is ignored; write <daemon/> or an integer'),
        ("<daemon></daemon>", 4, "nothing between"),
        ("<priority>high</priority>", 4, "write an integer from 0 to 5"),
        ("<priority>9</priority>", 4, "<priority> is 9"),
        ("<priority/>", 4, "<priority> has no value"),
        ("<weight>-1</weight>", 4, "<weight> is -1"),
        ("<weight>inf</weight>", 4, "<weight> is inf"),
        ("<time_limit>-5</time_limit>", 4, "<time_limit> is -5"),
        ("<time_limit>nan</time_limit>", 4, "<time_limit> is nan"),
        ("<weight>2</weight>\n<weight>3</weight>", 5, "<weight> comes again, and the one of line 4 does not count"),
        ("<weight unit='kg'>2</weight>", 4, "the attribute \"unit='kg'\" is ignored"),
        ("<weight path='/'>2</weight>", 4, "takes the slash in \"path='/'\""),
        ("<command_line>a & b</command_line>", 4, "write &amp;"),
        ("<command_line>&foo;</command_line>", 4, "well-formed"),
        ("<command_line>a < b</command_line>", 4, "<command_line>"),
        ("<command_line>\n&#x41;</command_line>", 5, 'another character of "&#x41;"'),
        ("<command_line>&#233;</command_line>", 4, "in UTF-8"),
        (f"<command_line>{'x' * 9000}</command_line>", 4, "is longer than 8191 octets"),
        (f"<command_line>{'x ' * 300}</command_line>", 4, "has 300 words"),
        (f"<command_line>{'x' * 4096}</command_line>", 4, "has 4096 octets, and is cut after 4095"),
        ("<command_line>boinc_resolve(a</command_line>", 4, "boinc_resolve( has no )"),
        ("<command_line>'a b</command_line>", 4, 'the quote before "a b" is not closed'),
        ("<command_line>-x '' -y ''</command_line>", 4, "an empty word in quotes"),
        ("<command_line>'it\\'s'</command_line>", 4, "use the other quote"),
        ("<setenv>PATH</setenv>", 4, "write NAME=VALUE"),
        ("<setenv>=x</setenv>", 4, "write NAME=VALUE"),
        ("<exec_dir>work</exec_dir>", 4, "exit 195"),
        ("<stdin_filename>$PWD/in</stdin_filename>", 4, "$PWD is not replaced in <stdin_filename>"),
        ("<unzip_input/>", 4, "<unzip_input> is ignored"),
        ("<task>\n</task>", 4, "<task> stands in a <task>"),
    ],
)
def test_errors_in_a_task(tmp_path: Path, inside: str, line: int, words: str) -> None:
    """Where the file does not do what it says."""
    problem = one(complaints(tmp_path, in_task(APP + inside)), words)
    assert (problem.line, problem.severity) == (line, Severity.ERROR)


@pytest.mark.parametrize(
    ("inside", "line", "words"),
    [
        ("<command_line>a > b</command_line>", 4, '">" goes to the program as an argument'),
        ("<command_line>a 2&gt;&amp;1</command_line>", 4, '"2>&1" goes to the program'),
        ('<command_line>--title="a b"</command_line>', 4, "put the quotes around the whole word"),
        ("<command_line>'a'b</command_line>", 4, "write a space between"),
        ("<command_line>$HOME/x</command_line>", 4, "$HOME is no macro"),
        ("<command_line>${PWD}</command_line>", 4, "${PWD} is no macro"),
        ("<setenv>PATH=/bin:$PATH</setenv>", 4, "$PATH is no macro"),
        ("<setenv>A=1</setenv>", 4, "PATH among them"),
        ("<setenv>PATH=a</setenv>\n<setenv>PATH=a</setenv>", 5, "a second time"),
        ("<daemon/>\n<command_line>$NTHREADS</command_line>", 5, "does not replace $NTHREADS in a daemon"),
        ("<daemon/>\n<time_limit>5</time_limit>", 5, "<time_limit> does nothing in a daemon"),
        ("<daemon/>\n<weight>5</weight>", 5, "<weight> does nothing in a daemon"),
    ],
)
def test_warnings_in_a_task(tmp_path: Path, inside: str, line: int, words: str) -> None:
    """Where it does what it says, which is hardly what is meant."""
    problem = one(complaints(tmp_path, in_task(APP + inside)), words)
    assert (problem.line, problem.severity) == (line, Severity.WARNING)


@pytest.mark.parametrize(
    ("inside", "line", "words"),
    [
        ("<multi_process/>", 5, "<multi_process> does nothing in a VM"),
        ("<priority>2</priority>", 5, "<priority> does nothing in a VM"),
        ("<command_line>$PROJECT_DIR/a</command_line>", 5, "$PROJECT_DIR gives something of the host"),
        ("<command_line>boinc_resolve(a)</command_line>", 5, "boinc_resolve gives something of the host"),
        ("<setenv>HERE=$PWD</setenv>", 5, "$PWD gives something of the host"),
        ("<stdin_filename>in</stdin_filename>", 5, 'nothing copies "in" into the VM'),
        ("<copy_file_to_VM>a</copy_file_to_VM>\n<copy_file_to_VM>a</copy_file_to_VM>", 6, "a second time"),
    ],
)
def test_warnings_in_a_vm(tmp_path: Path, inside: str, line: int, words: str) -> None:
    """What is different when the program runs in a VM."""
    problem = one(complaints(tmp_path, in_vm(inside)), words)
    assert (problem.line, problem.severity) == (line, Severity.WARNING)


@pytest.mark.parametrize(
    ("inside", "severity", "words"),
    [
        ("", Severity.WARNING, "there is no task"),
        ("<task></task>", Severity.ERROR, "there is nothing to run"),
        ("<task><application>$PWD/a</application></task>", Severity.ERROR, "$PWD is not replaced in <application>"),
        ("<task><application>x$PROJECT_DIR/a</application></task>", Severity.ERROR, '"x" is dropped'),
        ("<task>" + APP + "<weight>0</weight></task>", Severity.ERROR, "the weights add up to 0"),
        ("<task>" + APP + "<weight>0</weight></task>", Severity.WARNING, "counts nothing"),
        ("<unzip_input></unzip_input>", Severity.WARNING, "<unzip_input> names no archive"),
        ("<unzip_input><filename>a</filename></unzip_input>", Severity.ERROR, "did you mean <zipfilename>?"),
        ("<zip_output><filename>a</filename></zip_output>", Severity.ERROR, "makes no archive"),
        ("<zip_output><zipfilename>a</zipfilename></zip_output>", Severity.ERROR, "has nothing to put in"),
        (
            "<zip_output><zipfilename>a</zipfilename>\n<zipfilename>b</zipfilename></zip_output>",
            Severity.ERROR,
            "line 3",
        ),
        ("<enable_graphics_support>yes</enable_graphics_support>", Severity.ERROR, "and is ignored"),
        ("<enable_graphics_support/><enable_graphics_support/>", Severity.ERROR, "comes again"),
        (
            "<weight>2</weight>",
            Severity.ERROR,
            "<weight> is no element of <job_desc>, and is ignored; put it into a <task>",
        ),
        ("<task/>", Severity.ERROR, "<task> is ignored: it is empty"),
        ("</task>", Severity.ERROR, "</task> closes nothing"),
        ("<VMmanage_task>" + APP + "</VMmanage_task>", Severity.WARNING, "is never started"),
        ("<VMmanage_task>" + APP + "</VMmanage_task>", Severity.NOTE, "the stock wrapper passes over <VMmanage_task>"),
        ("<unzip_task>" + APP + "<daemon/></unzip_task>", Severity.WARNING, "does nothing in a <unzip_task>"),
        ("<task>" + APP + "<virtualmachine>v</virtualmachine></task>", Severity.NOTE, "the volunteer's own machine"),
    ],
)
def test_what_is_wrong_with_a_job(tmp_path: Path, inside: str, severity: Severity, words: str) -> None:
    """What concerns the job as a whole."""
    assert one(complaints(tmp_path, in_job(inside)), words).severity is severity


@pytest.mark.parametrize(
    ("content", "line", "meant"),
    [
        (in_task("<aplication>app</aplication>"), 3, "application"),
        (in_task(APP + "<comand_line><![CDATA[a]]></comand_line>"), 4, "command_line"),
        (
            in_task(APP + "<virtual_machine>v</virtual_machine>\n<cpus>2</cpus>\n<memory_mb>64</memory_mb>"),
            4,
            "virtualmachine",
        ),
        (in_vm("<copy_stdin_to_VM>1</copy_stdin_to_VM>\n<stdinfilename>in</stdinfilename>"), 6, "stdin_filename"),
        (in_task("<virtualmachine>v</virtualmachine>\n<aplication>app</aplication>"), 4, "application"),
        (in_job("<taks>\n" + APP + "<weight>2</weight>\n</taks>"), 2, "task"),
        (in_job("<task>" + APP + "</task><unzip_input>\n<zipfile>a</zipfile></unzip_input>"), 4, "zipfilename"),
    ],
)
def test_a_misspelt_element_is_one_error(tmp_path: Path, content: str, line: int, meant: str) -> None:
    """It proposes the right name; what it holds, and what is missing because of it, is not told besides."""
    errors = [problem for problem in complaints(tmp_path, content) if problem.severity is not Severity.NOTE]
    assert [(problem.line, problem.remedy) for problem in errors] == [(line, f"did you mean <{meant}>?")]


def test_after_a_misspelt_task_all_is_looked_at(tmp_path: Path) -> None:
    """What stands in it is not told; what follows it is."""
    problems = complaints(tmp_path, in_job("<taks><weight>2</weight></taks>\n<weight>2</weight>\n<task/>"))
    assert [problem.line for problem in problems] == [2, 3, 4]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Also where the job would end at the first one, and in the file's order."""
    problems = complaints(tmp_path, in_vm("<cpus>x</cpus>\n<wieght/>\n<copy_file_to_VM>/a</copy_file_to_VM>"))
    assert [problem.line for problem in problems if problem.severity is Severity.ERROR] == [5, 6, 7]


def test_a_file_without_an_end_is_looked_through(tmp_path: Path) -> None:
    """What comes before the place where the file breaks off is checked all the same."""
    problems = complaints(tmp_path, f"<job_desc><task>{APP}<weight>x</weight></task>\n<task>")
    assert one(problems, '<weight> is "x"').line == 2
    assert one(problems, "the file ends before </job_desc>").line == 3


@pytest.mark.parametrize(
    "inside",
    [
        "<command_line>-a 'b c' \"d e\" boinc_resolve(f) $NTHREADS $PWD/x</command_line>",
        "<setenv>PATH=/bin</setenv><exec_dir>$PWD</exec_dir><application>$PROJECT_DIR/a</application>",
        "<command_line><![CDATA[a & b]]></command_line>",
    ],
)
def test_nothing_is_wrong(tmp_path: Path, inside: str) -> None:
    """Sound tasks have no problems but those of this test's making."""
    problems = complaints(tmp_path, in_task(inside if "<application>" in inside else APP + inside))
    assert [str(problem) for problem in problems if '"&" goes' not in str(problem)] == []
