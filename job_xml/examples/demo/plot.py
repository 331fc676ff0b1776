"""A distribution as a small plot in plain text.

Knows the files that the examples write, five columns with a line of names above them, and nothing of physics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TICKS = 4
TICK = 3  # rows from one tick of the scale to the next
HEIGHT = TICKS * TICK
WIDTH = 56
MARGIN = 8  # columns left of the plot, for the scale

EIGHTHS = " ▁▂▃▄▅▆▇█"  # from nothing to a whole character, in eighths of its height
ASCII = "    ::::#"


@dataclass(frozen=True)
class Distribution:
    """Two curves over one axis: where, what (drawn as bars) and beside what (drawn as marks)."""

    axis: str
    names: tuple[str, str]
    places: list[float]
    bars: list[float]
    marks: list[float]


def parse(text: str) -> Distribution:
    """Read what an example wrote: ``# axis name error name error``, then a row of numbers for each place."""
    head, *lines = text.splitlines()
    axis, first, _, second, _ = head.lstrip("# ").split()
    columns = list(zip(*([float(word) for word in line.split()] for line in lines), strict=True))
    return Distribution(axis, (first, second), list(columns[0]), list(columns[1]), list(columns[3]))


def draw(data: Distribution, *, blocks: bool) -> list[str]:
    """The lines of the plot; `blocks` says whether the terminal has the block characters of Unicode."""
    step = max(1, WIDTH // len(data.places))
    inks, mark = (EIGHTHS, "•") if blocks else (ASCII, "o")
    unit = tick(max(*data.bars, *data.marks))
    columns = heights(data, unit * TICKS)
    lines = []
    for row in reversed(range(HEIGHT)):
        cells = "".join(cell(row, bar, place, inks, mark) * step for bar, place in columns)
        label = f"{unit * (row + 1) / TICK:.2f}" if (row + 1) % TICK == 0 else ""
        lines.append(f"{label:>{MARGIN - 2}} |{cells}")
    return [*lines, *axis(data, step * len(data.places)), legend(data, inks[-1], mark)]


def tick(top: float) -> float:
    """The smallest round distance between ticks with which the scale holds `top`."""
    power = 10.0 ** math.floor(math.log10(top / TICKS))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step * TICKS >= top)


def heights(data: Distribution, top: float) -> list[tuple[int, int]]:
    """Each bar's height in eighths of a row, and each mark's row."""
    return [
        (round(bar / top * HEIGHT * 8), min(int(mark / top * HEIGHT), HEIGHT - 1))
        for bar, mark in zip(data.bars, data.marks, strict=True)
    ]


def cell(row: int, bar: int, place: int, inks: str, mark: str) -> str:
    """One character of a row, counted from below; a mark lies over a bar."""
    return mark if row == place else inks[min(max(bar - row * 8, 0), 8)]


def axis(data: Distribution, width: int) -> list[str]:
    """The axis and its numbers."""
    low, high = f"{data.places[0]:.1f}", f"{data.places[-1]:.1f}"
    numbers = low + data.axis.center(width - len(low) - len(high)) + high
    return [" " * (MARGIN - 1) + "+" + "-" * width, " " * MARGIN + numbers]


def legend(data: Distribution, ink: str, mark: str) -> str:
    """What is drawn how."""
    return " " * MARGIN + f"{ink} {data.names[0]}   {mark} {data.names[1]}"
