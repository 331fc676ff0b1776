"""What the system says when a file of ours cannot be written, as the sentence that its user needs.

It knows no file: whoever writes one asks here what went wrong.
"""

from __future__ import annotations

import errno
from pathlib import Path

from vmcontroller.errors import DiskFull, StateDirectoryUnusable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ELSEWHERE = "name a directory that you can write with --state-dir"


def is_full(error: OSError) -> bool:
    """There is no room, or no quota is left."""
    return error.errno in _FULL


def explain(error: OSError, path: Path) -> DiskFull | StateDirectoryUnusable:
    """What keeps a file from being written, and the way out. ``path`` is named if the system names none."""
    place = error.filename or path
    if is_full(error):
        return no_room(place)
    return StateDirectoryUnusable(f"{place}: {error.strerror}; {_ELSEWHERE}")


def no_room(place: Path | str) -> DiskFull:
    """The disk that this lies on is full."""
    return DiskFull(f"{place}: no room is left on the disk; free some, or {_ELSEWHERE}")


def unwritable(place: Path | str, why: object) -> StateDirectoryUnusable:
    """This cannot be written though nobody says that the disk is full."""
    return StateDirectoryUnusable(f"{place} cannot be written ({why}); free some space or quota there, or {_ELSEWHERE}")
