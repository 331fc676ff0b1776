"""A daemon that is found but not real, and two ways to call the command line: in this process and as one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
Started = Callable[..., "subprocess.Popen[bytes]"]

HOUSE = Path(__file__).parents[3]


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


@pytest.fixture
def begin(tmp_path: Path, daemon: FakeDaemon) -> Any:
    """Start the command line with pipes at its ends; what still runs afterwards is ended."""
    begun: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {"VMCONTROLLER_STATE_DIR": str(tmp_path), "PYTHONPATH": str(HOUSE)}

    def start(*argv: str, **how: Any) -> subprocess.Popen[bytes]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "vmcontroller", *argv]
        begun.append(subprocess.Popen(command, env=environment, **{**pipes, **how}))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


@pytest.fixture
def do(begin: Started) -> Any:
    """Run it to its end: code, stdout, stderr."""

    def run(*argv: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        process = begin(*argv)
        out, err = process.communicate(stdin, timeout=30)
        return process.returncode, out, err.decode()

    return run


def shell(script: str) -> list[str]:
    return ["--", "sh", "-c", script]


def await_(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
