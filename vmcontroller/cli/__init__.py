"""The operator's command line: ``main(argv)`` parses, does one verb and gives its exit code.

Every verb but ``daemon`` is a client of the XML-RPC API like any other. Whatever goes wrong is one sentence
on stderr and an exit code; docs/reference/cli.md lists both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from vmcontroller.cli import codes
from vmcontroller.cli.parser import parse, verb_of
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import UsageError
from vmcontroller.cli.wording import in_verbs
from vmcontroller.client import ApiFault
from vmcontroller.errors import NotRunning, VMControllerError


def main(argv: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Do what the arguments say and return the exit code."""
    out, err = _lenient(out or sys.stdout or _nowhere()), _lenient(err or sys.stderr or _nowhere())
    try:
        code = _do(argv, out, err)
        out.flush()
        return code
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except BrokenPipeError:
        _discard(out)
        return codes.BROKEN_PIPE


def _do(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    try:
        arguments = parse(argv)
        return int(arguments.deed(Session(arguments, out, err)) or codes.DONE)
    except SystemExit as leaving:  # --help and --version
        return int(leaving.code or codes.DONE)
    except BrokenPipeError:
        raise
    except Exception as error:
        print(f"vmcontroller: {_sentence(error)}", file=err)
        return codes.RUN_FAILED if verb_of(argv) == "run" else _code(error)


def _code(error: Exception) -> int:
    if isinstance(error, UsageError):
        return codes.USAGE
    return codes.NO_DAEMON if isinstance(error, NotRunning) else codes.FAILED


def _sentence(error: Exception) -> str:
    if isinstance(error, ApiFault):
        return in_verbs(str(error))
    if isinstance(error, (UsageError, VMControllerError)):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(filter(None, (str(error.filename or ""), error.strerror)))
    if "VMCONTROLLER_TRACEBACK" in os.environ:
        sys.excepthook(type(error), error, error.__traceback__)
    return f"a fault of its own: {type(error).__name__}: {error}; VMCONTROLLER_TRACEBACK=1 shows where"


def _nowhere() -> TextIO:
    """In the place of a stream that was closed before we began."""
    return open(os.devnull, "w", encoding="utf-8")


def _lenient(stream: TextIO) -> TextIO:
    """A name that the terminal cannot show is shown escaped; it never breaks the verb."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _discard(out: TextIO) -> None:
    """Nobody reads any more: what is left in the buffer goes nowhere when the interpreter flushes it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    except OSError:
        pass
