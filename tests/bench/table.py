"""A measurement is a ratio against a peer or a floor taken in the same run; this is how one is kept and shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure: ours beside a peer's, and the target as a sentence with its verdict."""

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    target: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return self.ours / self.theirs if self.theirs else None


def table(rows: Iterable[Row]) -> str:
    """The rows as a table of plain text."""
    lines = [("what", "ours", "", "peer", "theirs", "ours/theirs", "target", "met")]
    for row in rows:
        theirs = "" if row.theirs is None else f"{row.theirs:,.4g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        met = {None: "", True: "yes", False: "NO"}[row.met]
        lines.append((row.what, f"{row.ours:,.4g}", row.unit, row.peer, theirs, ratio, row.target, met))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def keep(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as JSON."""
    path.write_text(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=1) + "\n")
