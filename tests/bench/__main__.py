"""``python -m tests.bench [NAME …]``: run the measurements, print one table, keep it as bench-results.json."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import tests.bench
from tests.bench.table import Row, keep, table


def main(names: list[str]) -> int:
    """Each module ``bench_NAME`` of this package has ``run() -> list[Row]``; a peer that is absent is said."""
    known = [m.name for m in pkgutil.iter_modules(tests.bench.__path__) if m.name.startswith("bench_")]
    wanted = [f"bench_{name}" for name in names] or known
    if strangers := [name for name in names if f"bench_{name}" not in known]:
        there = ", ".join(sorted(name.removeprefix("bench_") for name in known))
        print(f"no such measurement: {', '.join(strangers)}; there are {there}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in wanted:
        print(f"… {name}", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"tests.bench.{name}").run()
    print(table(rows))
    keep(rows, Path("bench-results.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
