"""The forms in which callers since 2009 give the arguments of runCmd."""

from __future__ import annotations

from typing import Any

import pytest

from vmcontroller.api import forms
from vmcontroller.errors import BadRequest


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([], ()),
        ((), ()),
        ("", ()),
        (["-c", "echo a b"], ("-c", "echo a b")),
        (["one string with all of them"], ("one string with all of them",)),
        ("one string with all of them", ("one string with all of them",)),
        ("('a', 'b')", ("a", "b")),
        ("['a', \"b c\"]", ("a", "b c")),
        ('["a", "b"]', ("a", "b")),
        ("('a',)", ("a",)),
        ("()", ()),
        ("7", ("7",)),
        ("(unbalanced", ("(unbalanced",)),
        ("__import__('os').getpid()", ("__import__('os').getpid()",)),
        ([1, 2.5, "x"], ("1", "2.5", "x")),
        ([b"\xff"], ("\udcff",)),
        (["", " "], ("", " ")),
    ],
)
def test_arguments(given: Any, taken: tuple[str, ...]) -> None:
    """A list, the text of a list or tuple, or one string; nothing is ever evaluated."""
    assert forms.arguments(given) == taken


@pytest.mark.parametrize("given", [5, {"a": "b"}, [["nested"]], [{}], [True], [None]])
def test_no_arguments(given: Any) -> None:
    """What is no list of text is refused."""
    with pytest.raises(BadRequest, match="runCmd: "):
        forms.arguments(given)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("", {}),
        ("{}", {}),
        ({}, {}),
        ("{'A': 'b c'}", {"A": "b c"}),
        ('{"A": "b"}', {"A": "b"}),
        ({"A": 1, "B": b"\xff"}, {"A": "1", "B": "\udcff"}),
        ({"A": "x=y\n"}, {"A": "x=y\n"}),
    ],
)
def test_environment(given: Any, taken: dict[str, str]) -> None:
    """A struct, or its text in Python's or JSON's form."""
    assert forms.environment(given) == taken


@pytest.mark.parametrize("given", ["A=b", [], 5, {"": "x"}, {"A=B": "x"}, {"A": "a\0b"}, {"A": ["x"]}, "[1]"])
def test_no_environment(given: Any) -> None:
    """What no process could be given is refused."""
    with pytest.raises(BadRequest, match="runCmd: "):
        forms.environment(given)


@pytest.mark.parametrize(("given", "taken"), [("None", ""), ("", ""), ("/tmp", "/tmp"), ("none", "none")])
def test_path(given: str, taken: str) -> None:
    """'None' is the text that 2009's wrapper sends for none."""
    assert forms.path(given) == taken


@pytest.mark.parametrize(
    ("file", "option", "taken"),
    [
        ("", None, {"kind": "none"}),
        ("None", "", {"kind": "none"}),
        ("in.txt", None, {"kind": "file", "name": "in.txt"}),
        ("", "stream", {"kind": "stream"}),
        ("", "text", {"kind": "inline", "data": "dGV4dA=="}),
        ("", b"\xff", {"kind": "inline", "data": "/w=="}),
    ],
)
def test_stdin(file: str, option: Any, taken: dict[str, str]) -> None:
    """A file of the guest, what is written while it runs, or the input itself."""
    assert forms.stdin(file, option) == taken


@pytest.mark.parametrize(("file", "option"), [("in.txt", "stream"), ("", 5), ("", ["a"])])
def test_no_stdin(file: str, option: Any) -> None:
    """Two at once, or neither text nor octets."""
    with pytest.raises(BadRequest, match="runCmd: "):
        forms.stdin(file, option)


def test_limits() -> None:
    """Whole doubles are integers, as for arguments; what the numbers mean is judged where they are used."""
    taken = forms.limits({"memoryBytes": 3e9, "seconds": 1.5, "orphans": "kill"})
    assert taken == {"memoryBytes": 3_000_000_000, "seconds": 1.5, "orphans": "kill"}
    assert isinstance(taken["memoryBytes"], int)
    with pytest.raises(BadRequest, match="limits must be a struct"):
        forms.limits([1])
