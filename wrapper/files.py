"""Small files that must never be seen half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` into a file so that a reader, or a power cut, finds the old text or the new one. OSError."""
    fresh = path.with_name(path.name + ".new")
    with open(fresh, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, path)


def read_text(path: Path) -> str | None:
    """What a file says, or None when it is not there or cannot be read. Octets that are not UTF-8 are replaced."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
