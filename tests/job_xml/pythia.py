"""PYTHIA for tests that need the real one: from the cache of ``make demo``, or else from the package index."""

from __future__ import annotations

from pathlib import Path

import pytest

from job_xml.examples.demo import fetch
from job_xml.examples.demo.stop import Stop

CACHE = Path(__file__).parents[2] / "build" / "pythia8mc"


def wheel() -> Path:
    """The wheel; the test is skipped where there is none for this Python or the index is out of reach."""
    try:
        return fetch.wheel(CACHE, Stop())
    except fetch.NoWheel as problem:
        pytest.skip(f"no wheel of pythia8mc fits this Python, or the package index is out of reach: {problem}")
