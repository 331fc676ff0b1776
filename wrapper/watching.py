"""Two files by which a program tells the wrapper how far it is."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

#: The stock wrapper looks at the end of the file only.
_TAIL = 32
#: What C's strtod takes at the start of a line, but for hexadecimal and words.
_NUMBER = re.compile(rb"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")


def fraction_in(path: Path) -> float:
    """The number in the last line that starts with one, between 0 and 1; 0 where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
            lines = file.read(_TAIL).splitlines()
    except OSError:
        return 0.0
    found = [float(match[1]) for match in map(_NUMBER.match, lines) if match]
    return min(max(found[-1], 0.0), 1.0) if found and math.isfinite(found[-1]) else 0.0


class CheckpointFile:
    """A file that a program writes anew at each of its checkpoints.

    What stood there before the program began does not count; the first file that it writes does. "" watches nothing.
    """

    def __init__(self, slot: Path, name: str) -> None:
        self._path = slot / name if name else None
        self._seen = self._stamp()

    def changed(self) -> bool:
        """Whether it was written since it was last asked."""
        stamp = self._stamp()
        changed = stamp not in (None, self._seen)
        self._seen = stamp or self._seen
        return changed

    def _stamp(self) -> int | None:
        try:
            return self._path.stat().st_mtime_ns if self._path else None
        except OSError:
            return None
