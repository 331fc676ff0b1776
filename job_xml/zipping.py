"""Which files go into the archive of zip_output: the stock wrapper's ``std::regex_search``, in Python's terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "d": "0-9",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "s": "\\s",
    "space": "\\s",
    "upper": "A-Z",
    "w": "\\w",
    "xdigit": "0-9A-Fa-f",
}
_CLASS = re.compile(r"\[:(\w+):\]")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_NOT_ECMASCRIPT = re.compile(r"\(\?(?![:=!])")


class NoPattern(ValueError):
    """The text is no regular expression; the message says why."""


def pattern(text: str) -> re.Pattern[str]:
    """An ECMAScript expression, compiled. NoPattern when it is none; the stock wrapper ends the job then."""
    if _NOT_ECMASCRIPT.search(_ESCAPED.sub("", text)):
        raise NoPattern("of the groups with (? there are only (?: (?= and (?!")
    try:
        return re.compile(_CLASS.sub(_class, text), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise NoPattern(str(error)) from None


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Tells of a file's name whether one of the patterns is found in it."""
    compiled = [pattern(text) for text in patterns]
    return lambda name: any(one.search(name) for one in compiled)


def _class(found: re.Match[str]) -> str:
    name = found[1].lower()
    if name not in _CLASSES:
        raise NoPattern(f"there is no class {found[0]}")
    return _CLASSES[name]
