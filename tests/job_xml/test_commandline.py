"""From a command_line to arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_xml.commandline import (
    MOST_OCTETS,
    Macros,
    Unclosed,
    application_path,
    resolve_phrases,
    resolve_words,
    split,
)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", []),
        (" \t\n ", []),
        ("a", ["a"]),
        ("  a  b\tc\n", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("'a \"b' \"c 'd\"", ['a "b', "c 'd"]),
        ("a'b c'", ["a'b", "c'"]),
        ('--name="a b"', ['--name="a', 'b"']),
        ("'a'b", ["a", "b"]),
        ("'a''b'", ["a", "b"]),
        ("'a b", ["a b"]),
        ("'", [""]),
        ("''", ["'"]),
        ("'' x 'y'", ["' x ", "y'"]),
        ("'' ", ["' "]),
        ("\\'a b\\'", ["\\'a", "b\\'"]),
        ("'a\\' b", ["a\\", "b"]),
        ("$(x) `y` *", ["$(x)", "`y`", "*"]),
        ("caf\u00e9 \udcff", ["caf\u00e9", "\udcff"]),
        ("\u00a0 \u2003", ["\u00a0", "\u2003"]),
    ],
)
def test_split(line: str, arguments: list[str]) -> None:
    """Words, and quotes where a word starts with one."""
    assert split(line) == arguments


def test_split_takes_what_there_is_room_for() -> None:
    """Octets, not characters, past the stock wrapper's room are cut off."""
    assert split("x" * 5000) == ["x" * MOST_OCTETS]
    assert split("\u00e9" * 5000) == ["\u00e9" * (MOST_OCTETS // 2) + "\udcc3"]


@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\v\f\r'\"\0"), min_size=1, max_size=9
        ),
        max_size=9,
    )
)
def test_plain_words_survive(words: list[str]) -> None:
    """Words without space and quotes come out as they went in, bare or in quotes."""
    assert split(" ".join(words)) == words
    assert split(" ".join(f"'{word}'" for word in words)) == words


MACROS = Macros(pwd="/slot", project_dir="/project", nthreads=4, gpu_device_num=2)


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("$PROJECT_DIR/a $NTHREADS $GPU_DEVICE_NUM $PWD", "/project/a 4 2 /slot"),
        ("$PWDX$PWD", "/slotX/slot"),
        ("$pwd ${PWD} $HOME $", "$pwd ${PWD} $HOME $"),
        ("", ""),
    ],
)
def test_macros(text: str, replaced: str) -> None:
    """Plain replacement, wherever they stand."""
    assert MACROS.replace_in(text) == replaced


def test_macros_are_replaced_in_the_stock_order() -> None:
    """What a project's directory is called is looked at for the macros that come later."""
    assert Macros(pwd="/slot", project_dir="$PWD").replace_in("$PROJECT_DIR") == "/slot"
    assert Macros(pwd="$PROJECT_DIR").replace_in("$PWD") == "$PROJECT_DIR"


@pytest.mark.parametrize("device", [None, -1])
def test_no_device(device: int | None) -> None:
    """Without a device its macro stays."""
    assert Macros(pwd="/slot", gpu_device_num=device).replace_in("$GPU_DEVICE_NUM") == "$GPU_DEVICE_NUM"


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("a boinc_resolve(in) b", "a <in> b"),
        ("--in=boinc_resolve(a)boinc_resolve(b)", "--in=<a><b>"),
        ("boinc_resolve()", "<>"),
        ("boinc_resolve(a b)", "<a b>"),
        ("boinc_resolve (a)", "boinc_resolve (a)"),
        ("boinc_resolve(boinc_resolve(a)", "<boinc_resolve(a>"),
    ],
)
def test_phrases(text: str, resolved: str) -> None:
    """Each boinc_resolve(NAME) becomes what NAME is resolved to."""
    assert resolve_phrases(text, lambda name: f"<{name}>") == resolved


def test_a_phrase_without_an_end() -> None:
    """The stock wrapper exits there."""
    with pytest.raises(Unclosed):
        resolve_phrases("boinc_resolve(a) boinc_resolve(b", str)


def test_words_of_2009() -> None:
    """Words that start with ./ are resolved, others are not."""
    assert resolve_words("-xf ./a.tar b/./c  .d", lambda name: f"<{name}>") == "-xf <./a.tar> b/./c .d"


@pytest.mark.parametrize(
    ("application", "path"),
    [("app", "<app>"), ("$PROJECT_DIR/app", "/project/app"), ("x$PROJECT_DIR/$PWD", "/project/$PWD")],
)
def test_application_path(application: str, path: str) -> None:
    """A logical name, or what stands behind $PROJECT_DIR; no other macro is replaced."""
    assert application_path(application, "/project", lambda name: f"<{name}>") == path
