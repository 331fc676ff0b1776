"""argv → the verb's arguments. Each family of verbs declares its own; this file only gathers them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import vmcontroller
from vmcontroller.cli import call, copying, daemon, doctor, machines, overview, run, snapshots
from vmcontroller.cli.verbs import Parser, Verbs

FAMILIES = (daemon, overview, machines, snapshots, run, copying, call, doctor)
EPILOG = (
    "VERB --help tells more of each. Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no daemon; run has its own."
)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with ``deed`` as the function that does the verb. UsageError.

    What stands behind ``run … --`` is the command as it is: argparse would take a second ``--`` out of it.
    """
    ours, command = _split(argv)
    arguments = parser().parse_args(ours)
    if command:
        arguments.command += command
    return arguments


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    if list(argv[:1]) != ["run"] or "--" not in argv:
        return list(argv), []
    end = list(argv).index("--")
    return list(argv[:end]), list(argv[end + 1 :])


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = Parser(prog="vmcontroller", description="Run commands inside virtual machines.", epilog=EPILOG)
    whole.add_argument("--version", action="version", version=f"vmcontroller {vmcontroller.__version__}")
    verbs = Verbs(whole)
    for family in FAMILIES:
        family.declare(verbs)
    return whole
