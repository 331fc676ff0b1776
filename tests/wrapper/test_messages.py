"""Lines for stderr and events for whoever watches."""

from __future__ import annotations

import io
import json
import os
import re

import pytest

from wrapper.events import Events
from wrapper.messages import Log, printable


def test_a_line_has_the_prefix_of_boinc(capsys: pytest.CaptureFixture[str]) -> None:
    """Local time and process id; what came in several lines stays in one."""
    Log(lambda: 0.0)("one\ntwo")
    said = capsys.readouterr().err
    assert re.fullmatch(rf"19(69|70)-\d\d-\d\d \d\d:\d\d:00 \({os.getpid()}\): one two\n", said)


def test_octets_that_are_no_text_are_shown() -> None:
    """A file's name may hold anything."""
    assert printable(b"a\xff".decode("utf-8", "surrogateescape")) == "a\\udcff"


def test_a_full_disk_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be said is not said."""
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)
    monkeypatch.setattr("sys.stderr", full)
    Log()("anything")


def test_an_event_goes_three_ways() -> None:
    """JSON to programs, text to people and to stderr; progress to programs alone."""
    lines: list[str] = []
    stream, console = io.StringIO(), io.StringIO()
    events = Events(lines.append, stream, console, lambda: 1.23456)
    events.say("run", "running a", vm="v")
    events.say("progress", "50 % done", fraction=0.5)
    assert (lines, console.getvalue()) == (["running a"], "running a\n")
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"time": 1.235, "phase": "run", "text": "running a", "vm": "v"},
        {"time": 1.235, "phase": "progress", "text": "50 % done", "fraction": 0.5},
    ]


def test_a_reader_that_has_gone_is_not_written_to_again() -> None:
    """Each goes for itself; the others are told all the same."""
    lines: list[str] = []
    stream, console = io.StringIO(), io.StringIO()
    events = Events(lines.append, stream, console)
    stream.close()
    events.say("run", "one")
    events.say("run", "two")
    assert (lines, console.getvalue()) == (["one", "two"], "one\ntwo\n")
