"""The parts of the demo by themselves: what it fetches, shows, and clears away. tests/loopback/test_demo.py runs it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from job_xml import parse
from job_xml.examples.demo import __main__ as demo
from job_xml.examples.demo import clearing, fetch, plot, report
from job_xml.examples.demo.play import OUTPUT, Tail, Times
from job_xml.examples.demo.screen import Screen, bar
from job_xml.examples.demo.stage import Stage
from job_xml.examples.demo.stop import Stop
from job_xml.lint import lint
from job_xml.problems import Severity

ROOT = Path(__file__).parents[2]
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


# The jobs


@pytest.mark.parametrize(
    "example", [demo.alice(Path("pythia8mc-8.0-cp311.whl")), demo.vina(Path("vina.tar")), demo.ISING]
)
def test_a_job_has_nothing_that_the_checker_would_say(example: demo.Example) -> None:
    """And its files are those that the demo provides and shows."""
    path = example.directory / "job.xml"
    assert [problem for problem in lint(path) if problem.severity is not Severity.NOTE] == []
    (task,) = parse.read(path).job.tasks
    assert task.vm
    assert task.stdout_filename == OUTPUT
    assert {*task.vm.files_out, OUTPUT} <= set(demo.RESULTS)
    for name in (task.application, *task.vm.files_in):
        assert name in example.files or (example.directory / name).is_file()


def test_the_tutorial_shows_the_job_as_it_is() -> None:
    """Word by word."""
    tutorial = (ROOT / "docs" / "tutorial" / "demo.md").read_text(encoding="utf-8")
    assert (demo.EXAMPLES / "alice" / "job.xml").read_text(encoding="utf-8") in tutorial


# The plot


def test_a_plot_reads_what_an_example_writes() -> None:
    """Five columns; errors are not drawn."""
    data = plot.parse("# eta INEL error INEL>0 error\n-1.0 2.0 0.1 3.0 0.1\n1.0 4.0 0.1 5.0 0.1\n")
    assert data == plot.Distribution("eta", ("INEL", "INEL>0"), [-1.0, 1.0], [2.0, 4.0], [3.0, 5.0])


def test_a_plot_draws_bars_to_the_scale() -> None:
    """The scale ends at a round number; a bar of half of it fills half the rows."""
    data = plot.Distribution("x", ("bars", "marks"), [0.0, 1.0], [2.0, 4.0], [4.0, 4.0])
    lines = plot.draw(data, blocks=False)
    assert lines[0].startswith("  4.00 |")
    assert lines[9].startswith("  1.00 |")
    columns = [line.partition("|")[2] for line in lines[: plot.HEIGHT]]
    assert [column[0] for column in columns] == list("o     ######")
    assert [column[-1] for column in columns] == list("o###########")


def test_a_plot_is_as_wide_with_few_places_as_with_many() -> None:
    """Each place takes as many columns as fit."""
    few = plot.Distribution("x", ("a", "b"), [0.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    many = plot.Distribution("x", ("a", "b"), [float(n) for n in range(56)], [1.0] * 56, [1.0] * 56)
    assert len(plot.draw(few, blocks=True)[0]) == len(plot.draw(many, blocks=True)[0]) == plot.MARGIN + plot.WIDTH


@pytest.mark.parametrize(("top", "step"), [(7.5, 2.0), (0.99, 0.25), (4.0, 1.0), (4.1, 2.0), (37.0, 10.0)])
def test_ticks_are_round_numbers(top: float, step: float) -> None:
    """1, 2, 2.5, 5 and 10 with any power of ten; four of them hold the highest value."""
    assert plot.tick(top) == pytest.approx(step)


# The numbers


def test_a_quantity_shows_two_digits_of_its_error() -> None:
    """And as many decimals of its value."""
    assert report.quantity(6.01628, 0.0301) == "6.016 ± 0.030"
    assert report.quantity(5.31, 0.18) == "5.31 ± 0.18"
    assert report.quantity(123.4, 25.0) == "123 ± 25"


def test_a_comparison_says_percent_and_standard_deviations() -> None:
    """Both errors count; a reference without one is exact and shows as many decimals as ours."""
    measured = {"name": "INEL", "value": 6.0, "error": 0.3, "reference": 5.0, "referenceError": 0.4}
    assert report.row(measured) == ("INEL", "6.00 ± 0.30", "5.00 ± 0.40", "+20.0%", "2.0 sigma")
    exact = {"name": "energy", "value": -1.1, "error": 0.05, "reference": -1.0, "referenceError": 0.0}
    assert report.row(exact) == ("energy", "-1.100 ± 0.050", "-1.000", "-10.0%", "2.0 sigma")


def test_a_phase_lasts_until_the_next_begins() -> None:
    """One that comes twice is counted once, with both its parts."""
    times = Times(0.0)
    for phase, now in (("run", 1.0), ("copyOut", 4.0), ("run", 5.0), ("", 6.0)):
        times.begin(phase, now)
    assert times.seconds == {"prepare": 1.0, "run": 4.0, "copyOut": 1.0}


# The screen


def test_a_file_gets_plain_lines_and_no_bar() -> None:
    """No escape sequence, and ASCII where the encoding has nothing else."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    screen = Screen(out, lambda: 0.0)
    screen.phase("run", "12 ± 3")
    screen.progress(0.5)
    screen.said("a line")
    out.flush()
    assert raw.getvalue().decode("ascii") == f"   0.0 s  run       12 +- 3\n{'|':>20} a line\n"


def test_a_terminal_has_a_bar_that_stays_below_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line takes the bar away and puts it back below itself; the next phase ends it."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    screen = Screen(out, lambda: 0.0)
    screen.progress(0.5)
    screen.said("a line")
    screen.phase("copyOut", "2 files")
    shown = out.getvalue()
    assert shown.count(f"{bar(0.5)}  50%") == 2
    assert shown.endswith("\r\x1b[K   0.0 s  copyOut   2 files\n")


def test_a_long_sentence_is_broken_between_words() -> None:
    """And stays beside its phase."""
    out = io.StringIO()
    Screen(out, lambda: 0.0).phase("done", "word " * 30)
    first, second = out.getvalue().splitlines()
    assert first == "   0.0 s  done      " + " ".join(["word"] * 18)
    assert second == " " * 20 + " ".join(["word"] * 12)


def test_no_colour_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR, as programs agreed."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Screen(Terminal(), time.monotonic).colours
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Screen(Terminal(), time.monotonic).colours


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    """Half a line waits for its other half; a file that is not there yet has none."""
    path = tmp_path / "stdout.txt"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    with path.open("ab") as file:
        file.write(b"o\nthree \xff\n")
    assert tail.lines() == ["two", "three \ufffd"]
    assert tail.lines() == []


# Fetching


def test_a_wheel_in_the_cache_is_not_fetched_again(tmp_path: Path) -> None:
    """The cache keeps one directory for each kind of Python, because wheels fit one kind only."""
    directory = tmp_path / sys.implementation.cache_tag
    directory.mkdir()
    (directory / "pythia8mc-8.0-cp311.whl").touch()
    assert fetch.wheel(tmp_path, Stop()) == directory / "pythia8mc-8.0-cp311.whl"


def test_no_wheel_to_be_had_is_said_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is out of reach: one sentence of pip's, and an empty cache."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(fetch.NoWheel, match="pythia8mc"):
        fetch.wheel(tmp_path, Stop())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_pip_that_says_nothing_of_use_is_quoted_as_it_is() -> None:
    """The last error line; else the last line; else that there was none."""
    assert fetch.reason("WARNING: x\nERROR: first\nERROR: last\n") == "last"
    assert fetch.reason("No module named pip\n") == "No module named pip"
    assert fetch.reason("") == "pip said nothing"


# Stopping


def test_a_signal_ends_the_program_that_runs() -> None:
    """It is asked to end, and has ended when the block has."""
    stop = Stop()
    with stop.running(SLEEPER, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        stop.hear(signal.SIGINT)
        assert child.stdout.read() == ""
    assert stop.asked
    assert child.returncode == -signal.SIGTERM


def test_a_program_that_begins_after_the_signal_is_ended_too() -> None:
    """The signal may come at any moment."""
    stop = Stop()
    stop.hear(signal.SIGTERM)
    with stop.running(SLEEPER) as child:
        pass
    assert child.returncode == -signal.SIGTERM


def test_a_program_that_does_not_obey_is_killed() -> None:
    """After as long as it may take."""
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    stop = Stop(patience=0.1)
    with stop.running([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        stop.hear(signal.SIGINT)
    assert child.returncode == -signal.SIGKILL
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_block_that_fails_ends_its_program() -> None:
    """As when nobody reads the demo's output any more."""
    with pytest.raises(BrokenPipeError), Stop().running(SLEEPER) as child:
        raise BrokenPipeError
    assert child.returncode == -signal.SIGTERM


# The stage


def test_a_stage_is_filled_as_a_client_fills_a_slot_and_leaves_nothing(tmp_path: Path) -> None:
    """The example's files and what else the job needs, under the names that it knows."""
    wheel = tmp_path / "pythia8mc-8.0-cp311.whl"
    wheel.write_text("wheel")
    with Stage() as stage:
        example = demo.alice(wheel)
        stage.lay_out(example.directory, example.files)
        laid = {path.name for path in stage.slot.iterdir()}
        assert {"job.xml", "dndeta.py", "pythia.cmnd", "pythia8mc.whl"} <= laid
        assert os.access(stage.slot / "dndeta.py", os.X_OK)
        root = stage.slot.parent
        assert root.stat().st_mode & 0o077 == 0
    assert not root.exists()


def test_the_users_own_settings_do_not_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's VMs are processes, its files are in its directory, and its Python is found first."""
    monkeypatch.setenv("VMCONTROLLER_HYPERVISOR", "virtualbox")
    monkeypatch.setenv("VMCONTROLLER_STATE_DIR", "/elsewhere")
    with Stage() as stage:
        environment = stage.environment()
        assert environment["VMCONTROLLER_HYPERVISOR"] == "process"
        assert "VMCONTROLLER_STATE_DIR" not in environment
        assert environment["TMPDIR"] == str(stage.temporary)
        assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


# What runs


@pytest.mark.parametrize("how", ["cmdline", "environ"])
def test_a_process_belongs_to_the_directory_that_it_was_told_of(tmp_path: Path, how: str) -> None:
    """By its command line or by its environment; one that has ended is no more, also if nobody has collected it."""
    if how == "environ" and not clearing.PROC.is_dir():
        pytest.skip("without /proc nobody sees the environment of a process")
    command = [*SLEEPER, str(tmp_path)] if how == "cmdline" else SLEEPER
    environment = os.environ | ({"TMPDIR": str(tmp_path)} if how == "environ" else {})
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        found = clearing.remaining(tmp_path)
        process.kill()
        assert clearing.gone(tmp_path, 10.0)
    assert found == [process.pid]


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps; Debian's package procps has it")
def test_processes_are_found_without_proc(tmp_path: Path) -> None:
    """As on macOS."""
    with subprocess.Popen([*SLEEPER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        found = clearing.in_ps(str(tmp_path))
        process.kill()
    assert found == [process.pid]


def test_where_nothing_runs_nothing_is_ended(tmp_path: Path) -> None:
    """There may be no address file at all, or one that a killed daemon has left."""
    clearing.end_all(tmp_path, tmp_path)
    (tmp_path / "daemon.json").write_text(json.dumps({"url": "http://vmcontroller:x@127.0.0.1:9/RPC2", "pid": 1}))
    clearing.end_all(tmp_path, tmp_path)


@pytest.mark.parametrize("address", [None, "{", '{"url": "http://vmcontroller:x@127.0.0.1:9/RPC2"}'])
def test_a_daemon_that_cannot_be_asked_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    """It has written no address yet, half of one, or does not answer there."""
    monkeypatch.setattr(clearing, "LEAVE_SECONDS", 0.05)
    if address is not None:
        (tmp_path / "daemon.json").write_text(address)
    with subprocess.Popen([*SLEEPER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as deaf:
        assert deaf.stdout
        deaf.stdout.readline()
        clearing.end_all(tmp_path, tmp_path)
    assert deaf.returncode == -signal.SIGTERM
