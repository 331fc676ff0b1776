"""A real agent, and a scripted host that has joined it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vmcontroller_guest.host import AgentProcess, Host, agent


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[AgentProcess]:
    """A running agent."""
    with agent(tmp_path) as running:
        yield running


@pytest.fixture
def host(guest: AgentProcess) -> Iterator[Host]:
    """A host that has joined it with session 1."""
    dialled = Host.dial(guest.ports["door"])
    dialled.join()
    yield dialled
    dialled.close()
