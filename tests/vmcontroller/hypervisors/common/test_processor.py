"""What the processor says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcontroller.hypervisors.common import processor


@pytest.mark.parametrize(
    ("machine", "flags", "virtualises"),
    [
        ("x86_64", "flags\t: fpu vmx sse", True),
        ("x86_64", "flags\t: fpu svm sse", True),
        ("x86_64", "flags\t: fpu sse", False),
        ("x86_64", "", False),
        ("aarch64", "", True),
    ],
)
def test_virtualises(machine: str, flags: str, virtualises: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag of the processor tells, where processors have flags."""
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda path, **options: flags)
    assert processor.virtualises() is virtualises


def test_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc the hypervisor's own word has to do."""

    def read_text(path: Path, **options: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(Path, "read_text", read_text)
    assert processor.virtualises()
