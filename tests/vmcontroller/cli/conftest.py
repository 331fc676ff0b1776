"""A daemon that is found but not real, and a way to call the command line in this process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vmcontroller.cli.fake_api import FakeApi
from tests.vmcontroller.fake_daemon import FakeDaemon, fake_daemon
from vmcontroller import cli


@dataclass(frozen=True)
class Done:
    """What one invocation left."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """Two VMs that run and one that is off."""
    fake = FakeApi(w1="Running", w2="Running", off="PoweredOff")
    yield fake
    fake.close()


@pytest.fixture
def daemon(tmp_path: Path, api: FakeApi) -> Iterator[FakeDaemon]:
    """The daemon that serves it."""
    with fake_daemon(tmp_path, api.methods()) as fake:
        yield fake


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a verb here, with the state directory of ``daemon``."""
    monkeypatch.setenv("VMCONTROLLER_STATE_DIR", str(tmp_path))

    def run(*argv: str) -> Done:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        code = cli.main(argv, out, err)
        out.seek(0)
        return Done(code, out.read(), err.getvalue())

    return run
