"""The command line, as the stock wrapper understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wrapper.options import BadOption, Options, parse


def test_the_stock_options_by_their_names() -> None:
    """With the values that C's atoi and atof would see."""
    words = ["--nthreads", "4.000000", "--device", "1x", "--trickle", "2.5", "--sporadic", "--use_tstp"]
    assert parse(words) == Options(nthreads=4, device=1, trickle=2.5, sporadic=True, use_tstp=True)
    assert parse(["--nthreads", "many"]).nthreads == 0


def test_what_follows_passthrough_child_is_kept() -> None:
    """Also what looks like an option."""
    assert parse(["--nthreads", "2", "--passthrough_child", "--nthreads", "3", "x y"]) == Options(
        nthreads=2, passthrough=("--nthreads", "3", "x y")
    )


def test_our_own_options() -> None:
    """Events, words on the terminal, and where the daemon's state lies."""
    words = ["--events", "-", "--verbose", "--state-dir", "/x"]
    assert parse(words) == Options(events="-", verbose=True, state_dir=Path("/x"))


@pytest.mark.parametrize("words", [["--nosuch"], ["file"], ["--nthreads"]])
def test_what_is_no_option_is_told(words: list[str]) -> None:
    """With the word that is wrong."""
    with pytest.raises(BadOption, match=words[0]):
        parse(words)
