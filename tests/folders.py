"""Directories for trial's test cases, which would leave theirs where the tests are run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def folder(case: SynchronousTestCase) -> Path:
    """The path of a directory that is not there yet, and goes when the test has ended."""
    above = Path(tempfile.mkdtemp())
    case.addCleanup(shutil.rmtree, above)
    return above / "folder"
