"""A served directory with a client that has logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fileservers import client, guest_server
from vmcontroller.channel import Channel
from vmcontroller.chirp.client import ChirpClient


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The served directory; what lies beside it is none of the client's business."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def guest(root: Path) -> Iterator[ChirpClient]:
    """A client of the server on ``root``."""
    with guest_server(root) as port, client(port) as made:
        yield made


@pytest.fixture
def channel(guest: ChirpClient) -> Channel:
    """The client's connection, for octets that no client of ours would send."""
    return guest.channel
