"""docs/reference/cli.md against the command line that it describes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmcontroller.cli import codes
from vmcontroller.cli.parser import parser

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def verbs(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, inner in action.choices.items():
                yield from verbs(inner, f"{name} {verb}")
            return
    yield name.strip(), of


@pytest.mark.parametrize(("name", "verb"), list(verbs(parser())))
def test_every_verb_and_option_is_described(name: str, verb: argparse.ArgumentParser) -> None:
    """Under its own heading."""
    usage = re.compile(rf"^    vmcontroller {name}( |$)", re.MULTILINE)
    section = next(part for part in PAGE.split("\n## ") if usage.search(part))
    for option in {option for action in verb._actions for option in action.option_strings}:
        assert option in section or option in ("-h", "--help", "--json", "--state-dir")


def test_every_exit_code_is_described() -> None:
    """In one of the two tables."""
    told = set(re.findall(r"^\| ([0-9+ n]+) \|", PAGE, re.MULTILINE))
    known = {str(code) for name, code in vars(codes).items() if name.isupper()} - {str(codes.SIGNALLED)}
    assert told == known | {"128 + n"}
