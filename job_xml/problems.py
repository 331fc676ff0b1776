"""What can be wrong with a job.xml, told in one line that says where it is and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The stock wrapper's exit statuses: ERR_FOPEN (-108) and ERR_XML_PARSE (-112) in eight bits, and its plain exit(1).
EXIT_NO_FILE = 148
EXIT_BAD_FILE = 144
EXIT_FAILED = 1

#: A file with more problems than this is not mended line by line.
MOST_PROBLEMS = 100

_MOST_SHOWN = 60


class Severity(StrEnum):
    """``error``: the file does not do what it says. ``warning``: it does, and hardly as meant. ``note``: know this."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    ``line`` counts from 1; 0 is the file as a whole. ``what`` and ``remedy`` are parts of one sentence.
    ``exit_code`` is 0 where a wrapper goes on all the same, else what it exits with before it starts anything.
    """

    line: int
    severity: Severity
    what: str
    remedy: str
    exit_code: int = 0
    file: str = ""

    def __str__(self) -> str:
        return f"{_place(self.file, self.line)}: {self.severity}: {self.what}; {self.remedy}"


class JobError(Exception):
    """The file is no job that can be run: one line with file, line and remedy, and the wrapper's ``exit_code``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{_place(problem.file, problem.line)}: {problem.what}; {problem.remedy}")
        self.file = problem.file
        self.line = problem.line
        self.what = problem.what
        self.remedy = problem.remedy
        self.exit_code = problem.exit_code


class Problems:
    """Problems as they are found; of more than MOST_PROBLEMS only the number is kept, and those that end the job."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[Problem] = []
        self._left_out = 0

    @property
    def full(self) -> bool:
        """Whether no more are kept."""
        return len(self._found) >= MOST_PROBLEMS

    def add(self, line: int, severity: Severity, what: str, remedy: str, exit_code: int = 0) -> None:
        """Note one."""
        if not self.full or (exit_code and not self.fatal()):
            self._found.append(Problem(line, severity, what, remedy, exit_code, self._file))
        else:
            self._left_out += 1

    def error(self, line: int, what: str, remedy: str) -> None:
        """The file does not do what it says here."""
        self.add(line, Severity.ERROR, what, remedy)

    def warning(self, line: int, what: str, remedy: str) -> None:
        """It does, and hardly as meant."""
        self.add(line, Severity.WARNING, what, remedy)

    def note(self, line: int, what: str, remedy: str) -> None:
        """Nothing is wrong, but it should be known."""
        self.add(line, Severity.NOTE, what, remedy)

    def refuse(self, line: int, what: str, remedy: str, exit_code: int = EXIT_BAD_FILE) -> None:
        """The job cannot be run. What was found before on this line, with the same remedy, is not told beside it."""
        self._found = [p for p in self._found if p.exit_code or (p.line, p.remedy) != (line, remedy)]
        self.add(line, Severity.ERROR, what, remedy, exit_code)

    def fatal(self) -> Problem | None:
        """The first in the file that ends the job, or None."""
        return next((problem for problem in self._in_order() if problem.exit_code), None)

    def lines(self) -> set[int]:
        """The lines that something is wrong with."""
        return {problem.line for problem in self._found}

    def all(self) -> tuple[Problem, ...]:
        """All of them in the file's order."""
        found = self._in_order()
        if self._left_out:
            what = f"more problems are not shown ({self._left_out})"
            found.append(Problem(0, Severity.ERROR, what, "mend those above first", file=self._file))
        return tuple(found)

    def _in_order(self) -> list[Problem]:
        return sorted(self._found, key=lambda problem: problem.line)


def shown(text: str) -> str:
    """A piece of the file as it may stand in a message: clipped, on one line, quoted."""
    clipped = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
    safe = clipped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe) + '"'


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file
