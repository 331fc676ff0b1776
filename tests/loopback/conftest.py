"""A real daemon and two VMs for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.operator import Done, Operator
from vmcontroller import client


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory whose daemon is ended at last, however the tests left it."""
    path = tmp_path_factory.mktemp("operator")
    yield path
    if client.find(path):
        Operator(path)("stop-daemon")
    assert client.find(path) is None


@pytest.fixture(scope="module")
def vmc(home: Path) -> Operator:
    """An operator with two VMs that run."""
    operator = Operator(home)
    started = operator("daemon", "--background", "--hypervisor", "process")
    assert started.code == 0, started.err
    assert operator("create", "w1", "w2").code == 0
    assert operator("start", "w1", "w2") == Done(0, b"w1: Running\nw2: Running\n", "")
    return operator
