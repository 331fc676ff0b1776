"""The end of the demo: the distribution, the numbers beside the published ones, and what each phase took.

Knows the result files that the examples write; it compares numbers and judges nothing.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from . import plot
from .screen import BAR, Screen


def results(screen: Screen, slot: Path) -> None:
    """Show what came back from the VM."""
    result = json.loads((slot / "result.json").read_text(encoding="utf-8"))
    distribution = plot.parse((slot / "distribution.txt").read_text(encoding="utf-8"))
    screen.heading(result["title"])
    screen.line()
    for line in plot.draw(distribution, blocks=screen.unicode):
        screen.line(line)
    screen.line()
    for line in table(result):
        screen.line(line)
    screen.line()
    screen.line(f"  {result['referenceName']}: {result['source']}")
    screen.line(f"  {result['model']}: the errors are statistical")


def poses(screen: Screen, slot: Path) -> None:
    """Show what a docking found: the lower, the better."""
    result = json.loads((slot / "result.json").read_text(encoding="utf-8"))
    screen.heading("How well the molecule binds in its best poses")
    screen.line()
    best = min(result["affinities"])
    for number, affinity in enumerate(result["affinities"], 1):
        bar = "█" * max(0, round(affinity / best * BAR))
        screen.line(f"  pose {number} {affinity:8.2f} {result['unit']}  {bar}".rstrip())


def table(result: dict[str, Any]) -> list[str]:
    """Ours, theirs and the difference, a line for each quantity."""
    rows = [("", result["model"], result["referenceName"], "difference", "")]
    rows += [row(comparison) for comparison in result["comparisons"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "   ".join(cells(line, widths)).rstrip() for line in rows]


def cells(line: tuple[str, ...], widths: list[int]) -> list[str]:
    """One line's cells as wide as their columns; names to the left, numbers to the right."""
    return [
        f"{text:<{width}}" if n == 0 else f"{text:>{width}}"
        for n, (text, width) in enumerate(zip(line, widths, strict=True))
    ]


def row(comparison: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """One quantity: the difference in percent, and in standard deviations of both errors together."""
    value, error = comparison["value"], comparison["error"]
    reference, uncertainty = comparison["reference"], comparison["referenceError"]
    difference, together = value - reference, math.hypot(error, uncertainty)
    return (
        comparison["name"],
        quantity(value, error),
        quantity(reference, uncertainty) if uncertainty else f"{reference:.{decimals(error)}f}",
        f"{difference / abs(reference):+z.1%}",
        f"{abs(difference) / together:.1f} sigma" if together else "",
    )


def quantity(value: float, error: float) -> str:
    """A value and its error, with two significant digits of the error."""
    places = decimals(error)
    return f"{value:.{places}f} ± {error:.{places}f}"


def decimals(error: float) -> int:
    """How many decimals show two significant digits of an error."""
    return max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3


def times(screen: Screen, seconds: dict[str, float]) -> None:
    """What each phase took."""
    whole = sum(seconds.values())
    screen.heading("What each phase took")
    screen.line()
    for phase, took in seconds.items():
        screen.line(f"  {phase:<9} {took:6.1f} s  {'█' * round(took / whole * BAR)}".rstrip())
    screen.line(f"  {'in all':<9} {whole:6.1f} s")
