"""Plugins are asked without a daemon and without anybody's reactor."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vmcontroller.hypervisors import choice, examine, loader


def test_all_are_asked(tmp_path: Path) -> None:
    """Each has a reason; nothing is left behind, no thread either; and it can be asked again."""
    before = threading.active_count()
    for _ in range(2):
        found = examine.examine(tmp_path)
        assert sorted(one.name for one in found) == loader.names()
        assert all(one.suitability.reason for one in found)
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_what_breaks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours does not hang the caller."""

    def names() -> list[str]:
        raise RuntimeError("no names")

    monkeypatch.setattr(choice.loader, "names", names)
    with pytest.raises(RuntimeError, match="no names"):
        examine.examine(tmp_path)
