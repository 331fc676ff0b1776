"""The command line: the stock wrapper's options by their names, and ours beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

USAGE = """\
usage: vmwrapper [options]      runs the job.xml in the current directory

options of the stock wrapper:
  --nthreads N           what $NTHREADS stands for, and the processors of a VM that names none
  --device N             what $GPU_DEVICE_NUM stands for where the client names no device
  --use_tstp             suspend programs with SIGTSTP instead of SIGSTOP
  --trickle X            report the run time every X seconds (under a BOINC client)
  --sporadic             take part in sporadic computing (under a BOINC client)
  --passthrough_child    what follows goes to the tasks with <append_cmdline_args/>
  --version, -v          say which version this is

options of its own:
  --events FILE          write each phase to FILE as a line of JSON; - is stdout
  --verbose              say each phase on the terminal
  --state-dir DIR        the state directory of the daemon that runs the VMs
  --help                 say this
"""


class BadOption(ValueError):
    """The command line cannot be understood; the text says which word of it."""


@dataclass(frozen=True)
class Options:
    """The command line, understood. ``passthrough`` are the words after ``--passthrough_child``."""

    nthreads: int = 1
    device: int = -1
    use_tstp: bool = False
    trickle: float = 0.0
    sporadic: bool = False
    version: bool = False
    help: bool = False
    passthrough: tuple[str, ...] = field(default=())
    events: str = ""
    verbose: bool = False
    state_dir: Path | None = None


def _leading_number(text: str) -> float:
    """What C's atof sees: the number that the text starts with, or else 0."""
    found = re.match(r"\s*[+-]?(\d+\.?\d*|\.\d+)", text)
    return float(found[0]) if found else 0.0


def _whole(text: str) -> int:
    return int(_leading_number(text))


_FLAGS = {
    "--use_tstp": "use_tstp",
    "--sporadic": "sporadic",
    "--version": "version",
    "-v": "version",
    "--verbose": "verbose",
    "--help": "help",
    "-h": "help",
}
_VALUES: dict[str, tuple[str, Any]] = {
    "--nthreads": ("nthreads", _whole),
    "--device": ("device", _whole),
    "--trickle": ("trickle", _leading_number),
    "--events": ("events", str),
    "--state-dir": ("state_dir", Path),
}


def parse(argv: Sequence[str]) -> Options:
    """Understand the words after the program's name. BadOption."""
    options = Options()
    words = iter(argv)
    for word in words:
        if word == "--passthrough_child":
            return replace(options, passthrough=tuple(words))
        if word in _FLAGS:
            options = _set(options, _FLAGS[word], True)
        elif word in _VALUES:
            name, convert = _VALUES[word]
            options = _set(options, name, convert(_next(words, word)))
        else:
            raise BadOption(f"{word} is no option; --help lists them")
    return options


def _set(options: Options, name: str, value: Any) -> Options:
    return replace(options, **{name: value})


def _next(words: Iterator[str], option: str) -> str:
    try:
        return next(words)
    except StopIteration:
        raise BadOption(f"{option} needs a value after it") from None
