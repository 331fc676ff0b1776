"""Which files an archive takes."""

from __future__ import annotations

import pytest

from job_xml.zipping import NoPattern, matcher, pattern


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("out", "my_output.txt", True),
        ("^out", "my_output.txt", False),
        (r"\.txt$", "a.txt", True),
        (r"\.txt$", "a.txt.bak", False),
        ("[[:digit:]]+$", "out42", True),
        ("^[^[:alpha:]_]+$", "42", True),
        ("^[^[:alpha:]_]+$", "a2", False),
        (r"a{2,3}", "baa", True),
        (r"(a|b)\1", "xbb", True),
        ("(?:a)(?=b)(?!bc)", "ab", True),
        (r"\(?x\)", "(x)", True),
        (r"^\d\w\s$", "1a ", True),
        (r"^\d$", "\u0663", False),
        ("", "anything", True),
    ],
)
def test_patterns(text: str, name: str, found: bool) -> None:
    """ECMAScript expressions, found anywhere in a name."""
    assert matcher([text])(name) is found


def test_one_of_several() -> None:
    """A name need match only one pattern; without a pattern there is nothing to take."""
    takes = matcher(["^a", "z$"])
    assert [name for name in ("ab", "xz", "xy") if takes(name)] == ["ab", "xz"]
    assert not matcher([])("a")


@pytest.mark.parametrize("text", ["(", "[", "*", "a**", "(?i)x", "(?P<n>x)", "(?<=x)", "[[:what:]]", "a{99999999999}"])
def test_no_pattern(text: str) -> None:
    """What is no ECMAScript expression is none, also where Python would take it."""
    with pytest.raises(NoPattern):
        pattern(text)
