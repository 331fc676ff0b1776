"""Names of files that stay where they belong, on every operating system."""

from __future__ import annotations

import re

#: What BOINC and the wrapper keep in a slot for themselves.
_OWN_FILES = frozenset(
    {
        *("job.xml", "init_data.xml", "boinc_lockfile", "boinc_finish_called", "boinc_task_state.xml"),
        *("stderr.txt", "checkpoint.txt", "graphics_status.xml", "initial_file_list"),
        *("wrapper_checkpoint.txt", "wrapper_vm.json"),
    }
)


def outside(name: str) -> str | None:
    """Why a name could lead out of the directory that it starts from, as the end of a sentence; None if it cannot.

    Windows takes a part of dots and spaces for dots alone, and a backslash for a slash.
    """
    parts = name.split("/")
    if name.startswith("/"):
        return "is absolute"
    if "\\" in name:
        return "has a backslash"
    if re.match(r"[A-Za-z]:", name):
        return "names a drive"
    if any(part.strip(". ") == "" and part not in ("", ".") for part in parts):
        return "leaves its directory"
    if parts[-1] in ("", "."):
        return "is a directory's name"
    return "has a control character" if any(ord(c) < 32 or ord(c) == 127 for c in name) else None


def plain(name: str) -> str:
    """The name by which two that mean the same file can be told to: without empty parts and dots."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_own_file(name: str) -> bool:
    """Whether BOINC or the wrapper would be hurt by someone else's writing to this file of the slot."""
    return plain(name).lower() in _OWN_FILES
