"""Somebody who types commands for a real daemon."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmcontroller import cli, client

HOUSE = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Done:
    """What one invocation left."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        """Its result."""
        return json.loads(self.out)


class Operator:
    """Types commands for one state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = os.environ | {"VMCONTROLLER_STATE_DIR": str(home), "PYTHONPATH": str(HOUSE)}

    def begin(self, *argv: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a verb with pipes at its ends."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "vmcontroller", *argv]
        return subprocess.Popen(command, env=self._environment, **{**pipes, **how})

    def __call__(self, *argv: str, stdin: bytes = b"") -> Done:
        """Do a verb."""
        with self.begin(*argv) as process:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        return Done(process.returncode, out, err.decode())

    def here(self, *argv: str) -> Done:
        """Do a verb in this process, which is quicker."""
        out, err = io.StringIO(), io.StringIO()
        code = cli.main([*argv, "--state-dir", str(self.home)], out, err)
        return Done(code, out.getvalue().encode(), err.getvalue())

    def pid(self) -> int:
        """The daemon's."""
        found = client.find(self.home)
        assert found
        return found.pid


def shell(script: str) -> list[str]:
    return ["--", "/bin/sh", "-c", script]


def await_(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
