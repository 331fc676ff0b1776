"""The reference pages that the code tells are what the code tells now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_main", DOCS / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("path", GENERATOR.PAGES)
def test_page_is_up_to_date(path: str) -> None:
    """``make docs`` has been run since the code was changed."""
    assert (DOCS.parent / path).read_text(encoding="utf-8") == GENERATOR.PAGES[path]()
