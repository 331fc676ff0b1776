"""``call``: any method of the API, for scripts and for trying things out."""

from __future__ import annotations

import json
from typing import Any

from vmcontroller.cli.render import plain
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Verbs


def declare(verbs: Verbs) -> None:
    """The verb."""
    parser = verbs.add("call", call, "call a method of the XML-RPC API; call help lists them")
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("values", metavar="ARG", nargs="*", default=[], help="JSON where it is JSON, else text")


def call(session: Session) -> None:
    """Text and octets are printed as they are, all else as JSON; with --json all of it."""
    with session.api() as api:
        result = api.call(session.arguments.method, *map(argument, session.arguments.values))
    if isinstance(result, bytes) and not session.arguments.json:
        session.out.flush()
        session.out.buffer.write(result)
    else:
        session.show(result, result if isinstance(result, str) else json.dumps(plain(result), indent=2))


def argument(word: str) -> Any:
    """The value that a word on the command line stands for: ``'"7"'`` is the text 7, and null is text, too."""
    try:
        value = json.loads(word, parse_constant=_no_number)
    except ValueError:
        return word
    return word if value is None else value


def _no_number(name: str) -> Any:
    raise ValueError(name)
