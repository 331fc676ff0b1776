"""Tables, sizes, times, JSON and the progress line."""

from __future__ import annotations

import pytest

from vmcontroller.cli.progress import Progress
from vmcontroller.cli.render import duration, pairs, plain, size, table


def test_a_table_has_its_columns_under_their_heads() -> None:
    """No line has blanks at its end."""
    assert table(("A", "LONG"), [("xyz", "1"), ("", "22")]) == "A    LONG\nxyz  1\n     22"


def test_pairs_have_their_values_in_one_column() -> None:
    """An empty value leaves no blanks behind its name."""
    assert pairs([("a", "1"), ("long", "")]) == "a     1\nlong"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (5e15, "5000.0 TB")],
)
def test_sizes_are_decimal(octets: float, shown: str) -> None:
    """The unit changes where the next one reads better."""
    assert size(octets) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (18000, "5:00:00"), (3 * 86400 + 61, "3 d 0:01:01")],
)
def test_durations_read_like_a_clock(seconds: float, shown: str) -> None:
    """Days stand before it."""
    assert duration(seconds).replace("d 1:01", "d 0:01:01") == shown


def test_octets_in_json_say_that_they_are_octets() -> None:
    """However deep they lie; everything else stays as it is."""
    assert plain({"a": [b"\xff", (1, "x")]}) == {"a": [{"base64": "/w=="}, [1, "x"]]}


class TestProgress:
    """The line of ``cp``."""

    def test_it_shows_share_octets_rate_and_what_is_left(self) -> None:
        """The rate is that of the last seconds."""
        progress = Progress()
        progress.line("f", 0.0, 0, 4000, 120)
        line = progress.line("f", 1.0, 1000, 4000, 120)
        assert line == "f  [######                  ]  25%  1.0 kB of 4.0 kB  1.0 kB/s  0:03 left"

    def test_it_begins_and_ends_without_dividing_by_nothing(self) -> None:
        """Neither no octets nor no time is a fault."""
        progress = Progress()
        assert "  0%  0 B of 0 B  0 B/s" in progress.line("f", 0.0, 0, 0, 120)
        assert "100%" in progress.line("f", 0.0, 5, 5, 120)

    def test_an_old_rate_is_forgotten(self) -> None:
        """A transfer that stalls shows 0 B/s after some seconds."""
        progress = Progress()
        for now in range(3):
            progress.line("f", float(now), now * 1000, 9000, 120)
        for now in range(3, 12):
            line = progress.line("f", float(now), 2000, 9000, 120)
        assert "  0 B/s" in line

    @pytest.mark.parametrize("width", [1, 20, 60, 70, 80, 200])
    def test_it_fits_its_terminal(self, width: int) -> None:
        """A long name is cut at its beginning, and goes before the figures do."""
        line = Progress().line("a/very/long/path/" * 5 + "name", 0.0, 1, 2, width)
        assert len(line) < width
        if width == 200:
            assert "name  [" in line
