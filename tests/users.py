"""Tests as a user who may not do everything: root reads and writes what nobody else may."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def plain_user() -> Iterator[Path]:
    """A directory of the user's own; where that is root, this process is somebody else as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="vmc-") as name, _nobody(name):
        yield Path(name)


@contextmanager
def _nobody(home: str) -> Iterator[None]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.chown(home, _NOBODY, _NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
