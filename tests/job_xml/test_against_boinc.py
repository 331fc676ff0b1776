"""Our reader beside BOINC's own: the same files, good and broken ones, must mean the same to both."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from job_xml.commandline import split
from job_xml.model import Task
from job_xml.parse import examine
from job_xml.problems import EXIT_BAD_FILE
from tests.job_xml.reading import EXAMPLES

SOURCE = Path(__file__).with_name("stock_peer.cpp")
HEADERS = Path("/usr/include/boinc")
DOCUMENTS = 1500

TEXTS = (
    *("application", "checkpoint_filename", "command_line", "exec_dir", "fraction_done_filename"),
    *("stderr_filename", "stdin_filename", "stdout_filename"),
)
FLAGS = ("append_cmdline_args", "daemon", "forward_slashes", "multi_process")
NAMES = [
    name.encode()
    for name in (
        *(*TEXTS, *FLAGS, "setenv", "weight", "time_limit", "priority", "enable_graphics_support", "unknown"),
        *("task", "job_desc", "unzip_input", "zip_output", "zipfilename", "filename"),
    )
]
VALUES = [
    *(b"", b"  x  ", b"\t", b"a b", b"a>b", b"a & b", b"&foo;", b"\xc3\xa9", b"\xe9", b"\x0bx\x0c", b"true", b"--><"),
    *(
        b"0",
        b"1",
        b"+5",
        b"-3",
        b"010",
        b"08",
        b"00",
        b"0x10",
        b"0x",
        b"-",
        b"1 2",
        b"1x",
        b"2147483648",
        b"-2147483649",
    ),
    *(b"4294967297", b"9223372036854775807", b"9223372036854775808", b"9" * 20, b"1" * 255, b"1" * 256, b"07" * 12),
    *(
        b"1.5",
        b".5",
        b"5.",
        b"1e",
        b"1e3",
        b"1e999",
        b"1e-400",
        b"inf",
        b"-INF",
        b"infinity",
        b"nan",
        b"NAN",
        b"nan(1)",
    ),
    *(b"0x1p3", b"0x.8", b"0x0p5", b"0e-999999", b"4.9e-324", b"2.2250738585072014e-308", b"1.7976931348623159e308"),
    *(
        b"&lt;a&gt;",
        b"&quot;&apos;&amp;lt;",
        b"&#65;x",
        b"&#x41;y",
        b"&#65 z; q",
        b"&#233;",
        b"&#300;",
        b"&#0;y",
        b"&#;",
    ),
    *(b"&#4294967361;", b"&#99999999999999999999;", b"<![CDATA[a & <b>]]>", b"<!-- c -->", b"a<!-- c -->b"),
    *(b"'a b' c\"d e\"", b"''x' y", b'"q', b"a'", b"' '", b"'a'b", b"\\'a b\\'", b"'", b'--x="a b"'),
    *(b"x" * length for length in (300, 4095, 4096, 8191, 8192, 9000)),
]
STRAYS = [b"<!-- x -->", b"text", b"<?pi x?>", b"<!-->", b"<!--->", b"</ task>", b"<>", b"<//>", b"</>"]
STARTS = [b"", b"<?xml version='1.0'?>", b"<!-- c -->", b"<?xml-model href='x'?>", b" \n"]
ROOTS = [b"<job_desc>"] * 12 + [
    b"<job_desc >",
    b"<job_desc x='y'>",
    b"<job_desc x='/'>",
    b"<job>",
    b"<!DOCTYPE a><job_desc>",
]
ENDS = [b"</job_desc>"] * 6 + [b"", b"</job_desc", b"</job_desc >what follows"]


def element(dice: random.Random, depth: int = 0) -> bytes:
    """One element, mostly whole."""
    name, other, value = dice.choice(NAMES), dice.choice(NAMES), dice.choice(VALUES)
    inside = b"\n".join(element(dice, depth + 1) for _ in range(dice.randrange(3))) if depth < 3 else b""
    whole = b"<%s>%s</%s>" % (name, value, name)
    odd = [
        *(b"<%s/>" % name, b"<%s />" % name, b"<%s>" % name, b"</%s>" % name, dice.choice(STRAYS)),
        *(b"<%s a='b'>%s</%s >" % (name, value, name), b"<%s a='/b'>%s</%s>" % (name, value, name)),
        *(b"<%s>%s</%s>" % (name, value, other), b"<%s>%s</%s>" % (name, inside, name)),
    ]
    return dice.choice([whole] * 10 + odd)


def task(dice: random.Random) -> bytes:
    """A task of some elements."""
    return b"<task>\n%s</task>\n" % b"\n".join(element(dice) for _ in range(dice.randrange(7)))


def document(dice: random.Random) -> bytes:
    """A job, sometimes with a few octets changed."""
    makers: list[Callable[[random.Random], bytes]] = [task, task, task, element]
    inside = b"".join(dice.choice(makers)(dice) for _ in range(dice.randrange(5)))
    whole = dice.choice(STARTS) + dice.choice(ROOTS) + inside + dice.choice(ENDS)
    return damaged(dice, whole) if dice.random() < 0.15 else whole


def damaged(dice: random.Random, whole: bytes) -> bytes:
    """An octet less, one more, or the end cut off; never a NUL, which ends our reading for good."""
    at = dice.randrange(len(whole))
    return dice.choice(
        [whole[:at] + whole[at + 1 :], whole[:at] + dice.choice(b"<>/&\"' !-[]").to_bytes() + whole[at:], whole[:at]]
    )


def ours(path: Path) -> str:
    """What a file means to us, in the words of the peer."""
    examination = examine(path)
    outline = examination.outline
    if outline is None or any(problem.exit_code == EXIT_BAD_FILE for problem in examination.problems.all()):
        return "broken"
    archives = [
        f" {block.name}.{entry.element.name}={hexed(str(entry.value))}"
        for block in outline.every("unzip_input", "zip_output")
        for entry in block.entries
    ]
    graphics = " graphics" if examination.job.graphics_support else ""
    return "".join(["whole", graphics, *archives, *(told(task) for _, task in examination.tasks)])


def told(task: Task) -> str:
    """One task, in the words of the peer."""
    parts = ["task"]
    parts += [f"{name}={hexed(getattr(task, name))}" for name in TEXTS if getattr(task, name)]
    parts += [f"setenv={hexed(variable)}" for variable in task.setenv]
    parts += [f"{name}=1" for name in FLAGS if getattr(task, name)]
    parts += [f"time_limit={float(task.time_limit):.17g}", f"weight={float(task.weight):.17g}"]
    parts += [f"priority={task.priority}", *(f"word={hexed(word)}" for word in split(task.command_line))]
    return "".join(f" {part}" for part in parts)


def hexed(text: str) -> str:
    return "x" + os.fsencode(text).hex()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """What a file means to BOINC's library."""
    compiler = shutil.which("g++")
    if compiler is None or not (HEADERS / "parse.h").exists():
        pytest.skip("needs BOINC's own parser: Debian packages libboinc-app-dev and g++")
    program = tmp_path_factory.mktemp("peer") / "stock_peer"
    command = [compiler, "-std=c++17", "-o", str(program), str(SOURCE), f"-I{HEADERS}", "-lboinc"]
    subprocess.run(command, check=True, timeout=120)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin
        assert peer.stdout
        asked, answered = peer.stdin, peer.stdout

        def ask(path: Path) -> str:
            print(path, file=asked, flush=True)
            return answered.readline().rstrip("\n").replace("-nan", "nan")

        yield ask
        asked.close()


def test_the_same_files_mean_the_same(theirs: Callable[[Path], str], tmp_path: Path) -> None:
    """Some thousand documents, half of them broken in some way."""
    dice = random.Random(20090801)
    path = tmp_path / "job.xml"
    whole = 0
    for number in range(DOCUMENTS):
        path.write_bytes(document(dice))
        answer = theirs(path)
        assert ours(path) == answer, f"document {number}: {path.read_bytes()[:2000]!r}"
        whole += answer.startswith("whole")
    assert DOCUMENTS / 4 < whole < DOCUMENTS


@pytest.mark.parametrize("name", ["host", "chain", "archives", "daemon"])
def test_the_examples_mean_the_same(theirs: Callable[[Path], str], name: str) -> None:
    """The examples that the stock wrapper can run."""
    path = EXAMPLES / name / "job.xml"
    assert ours(path) == theirs(path)


@pytest.mark.parametrize("length", [262143, 262144])
def test_the_longest_text_means_the_same(theirs: Callable[[Path], str], tmp_path: Path, length: int) -> None:
    """Where the stock parser's room ends for the texts that have the most of it."""
    path = tmp_path / "job.xml"
    text = b"x" * length
    path.write_bytes(b"<job_desc><task><application>%s</application></task></job_desc>" % text)
    assert ours(path) == theirs(path)
