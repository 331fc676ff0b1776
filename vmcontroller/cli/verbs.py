"""How a verb is declared: its name, its arguments and the function that does it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

from vmcontroller.cli.session import Session

#: Does a verb; the exit code, or None for 0.
Deed = Callable[[Session], int | None]


class UsageError(Exception):
    """The arguments make no sense; the text says which and where the help is."""


class Parser(argparse.ArgumentParser):
    """An argparse parser that tells what is wrong in one sentence, and takes no abbreviated options."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def assignment(word: str) -> tuple[str, str]:
    """``NAME=VALUE`` as a pair; for argparse's ``type``."""
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return name, value


def seconds(word: str) -> float:
    """A time that is finite and not negative; for argparse's ``type``."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seconds")
    return value


def add_shared(parser: argparse.ArgumentParser, json: Any, state_dir: Any) -> None:
    """The options of every verb, which may stand before it or behind it, with these defaults."""
    parser.add_argument("--json", action="store_true", default=json, help="print the result as JSON")
    parser.add_argument("--state-dir", metavar="DIR", default=state_dir, help="state directory of the daemon to use")


class Verbs:
    """The verbs of one command line, or of one verb such as ``snapshot``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._choices = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)

    def add(self, name: str, deed: Deed, help: str) -> argparse.ArgumentParser:
        """Declare a verb that does ``deed``; the parser takes its arguments."""
        parser: argparse.ArgumentParser = self._choices.add_parser(name, help=help, description=help)
        parser.set_defaults(deed=deed)
        # What was said before the verb stands unless it is said again.
        add_shared(parser, json=argparse.SUPPRESS, state_dir=argparse.SUPPRESS)
        return parser

    def group(self, name: str, help: str) -> Verbs:
        """Declare a verb that has verbs of its own."""
        return Verbs(self._choices.add_parser(name, help=help, description=help))
