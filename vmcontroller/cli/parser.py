"""argv → the verb's arguments. Each family of verbs declares its own; this file only gathers them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import vmcontroller
from vmcontroller.cli import call, copying, daemon, doctor, images, machines, overview, run, snapshots
from vmcontroller.cli.verbs import Parser, UsageError, Verbs, add_shared

FAMILIES = (daemon, overview, machines, snapshots, images, run, copying, call, doctor)
EPILOG = (
    "VERB --help tells more of each. Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no daemon; run has its own."
)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with ``deed`` as the function that does the verb. UsageError.

    What stands behind ``run … --`` is the command as it is: argparse would take a second ``--`` out of it.
    """
    ours, command = _split(argv)
    arguments, unknown = parser().parse_known_args(ours)
    if unknown:
        raise UsageError(_unknown(unknown, is_command=arguments.verb == "run" and ours == list(argv)))
    if command:
        arguments.command += command
    return arguments


def verb_of(argv: Sequence[str]) -> str:
    """The verb, "" where there is none."""
    words = iter(argv)
    for word in words:
        if word == "--state-dir":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    if verb_of(argv) != "run" or "--" not in argv:
        return list(argv), []
    end = list(argv).index("--")
    return list(argv[:end]), list(argv[end + 1 :])


def _unknown(words: Sequence[str], is_command: bool) -> str:
    unknown = f"unrecognized arguments: {' '.join(words)}"
    if is_command:
        return f"{unknown}; if they are the command's, put -- before it: vmcontroller run VM -- COMMAND"
    return f"{unknown}; see vmcontroller --help"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = Parser(prog="vmcontroller", description="Run commands inside virtual machines.", epilog=EPILOG)
    whole.add_argument("--version", action="version", version=f"vmcontroller {vmcontroller.__version__}")
    add_shared(whole, json=False, state_dir="")
    verbs = Verbs(whole)
    for family in FAMILIES:
        family.declare(verbs)
    return whole
