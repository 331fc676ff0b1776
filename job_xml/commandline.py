"""From a command_line to arguments, as the stock wrapper does it (wrapper.cpp: macro_substitute, TASK::run)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

#: What the stock wrapper has room for, in octets and in arguments.
MOST_OCTETS = 4095
MOST_ARGUMENTS = 255

PROJECT_DIR = "$PROJECT_DIR"
NTHREADS = "$NTHREADS"
GPU_DEVICE_NUM = "$GPU_DEVICE_NUM"
PWD = "$PWD"
#: In the order in which they are replaced.
MACROS = (PROJECT_DIR, NTHREADS, GPU_DEVICE_NUM, PWD)

_RESOLVE = "boinc_resolve("
_SPACE = " \t\n\v\f\r"
_QUOTES = "'\""


class Unclosed(ValueError):
    """A ``boinc_resolve(`` has no ``)``; the stock wrapper exits with 1 then."""


@dataclass(frozen=True)
class Macros:
    """What the macros stand for. ``project_dir`` is "." if the client named none; without a device its macro stays."""

    pwd: str
    project_dir: str = "."
    nthreads: int = 1
    gpu_device_num: int | None = None

    def replace_in(self, text: str) -> str:
        """Plain replacement, one after the other: ``$PWDX`` becomes the directory and an X."""
        for macro, value in self._values().items():
            text = text.replace(macro, value)
        return text

    def _values(self) -> Mapping[str, str]:
        values = {PROJECT_DIR: self.project_dir, NTHREADS: str(self.nthreads)}
        if self.gpu_device_num is not None and self.gpu_device_num >= 0:
            values[GPU_DEVICE_NUM] = str(self.gpu_device_num)
        return {**values, PWD: self.pwd}


def application_path(application: str, project_dir: str, resolve: Callable[[str], str]) -> str:
    """Where the program is: behind ``$PROJECT_DIR``, whatever stands before that, or where its logical name leads."""
    _, macro, rest = application.partition(PROJECT_DIR)
    return project_dir + rest if macro else resolve(application)


def resolve_phrases(text: str, resolve: Callable[[str], str]) -> str:
    """Replace each ``boinc_resolve(NAME)`` by what ``resolve`` makes of NAME. Unclosed if a ``)`` is missing."""
    done: list[str] = []
    while _RESOLVE in text:
        before, _, rest = text.partition(_RESOLVE)
        name, parenthesis, text = rest.partition(")")
        if not parenthesis:
            raise Unclosed("boinc_resolve( has no )")
        done += [before, resolve(name)]
    return "".join([*done, text])


def resolve_words(text: str, resolve: Callable[[str], str]) -> str:
    """Resolve each word that starts with ``./``, as the wrapper of 2009 did with commands on the host."""
    return " ".join(resolve(word) if word.startswith("./") else word for word in text.split())


@dataclass(frozen=True)
class Word:
    """One argument in a command line: its ``quote`` is "" or the character around it, ``end`` is where it ended."""

    text: str
    quote: str
    closed: bool
    end: int


def words(line: str) -> Iterator[Word]:
    """The words of a command line: parse_command_line of lib/str_util.cpp.

    A quote starts a quoted word only at a word's start, and nothing escapes it. The character after it is not looked
    at, so that ``''`` is not an empty word: it swallows what follows up to the next quote.
    """
    position = _past_space(line, 0)
    while position < len(line):
        quote = line[position] if line[position] in _QUOTES else ""
        start = position + len(quote)
        end = _end_of_quoted(line, start) if quote else _end_of_word(line, start)
        yield Word(line[start:end], quote, end < len(line), end)
        position = _past_space(line, end + 1)


def split(text: str) -> list[str]:
    """The arguments in a command line, of which the stock wrapper takes the first MOST_OCTETS octets."""
    return [word.text for word in words(os.fsdecode(os.fsencode(text)[:MOST_OCTETS]))]


def _past_space(line: str, position: int) -> int:
    while position < len(line) and line[position] in _SPACE:
        position += 1
    return position


def _end_of_word(line: str, start: int) -> int:
    return next((at for at in range(start, len(line)) if line[at] in _SPACE), len(line))


def _end_of_quoted(line: str, start: int) -> int:
    end = line.find(line[start - 1], start + 1)
    return end if end >= 0 else len(line)
