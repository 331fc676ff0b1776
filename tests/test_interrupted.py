"""Ctrl-C right after the start, while a program is still being imported, is an exit code and no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.test_architecture import ROOT

#: Runs a package as ``python -m`` does; Ctrl-C comes when it imports a certain module.
SCRIPT = """
import runpy, sys

package, interrupted = sys.argv[1:]

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == interrupted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = []
runpy.run_module(package, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("package", "while_importing"),
    [
        ("vmcontroller", "vmcontroller.cli"),
        ("wrapper", "lxml"),
        ("job_xml", "lxml"),
        ("vmcontroller_guest", "twisted.internet.reactor"),
    ],
)
def test_while_it_is_imported(package: str, while_importing: str) -> None:
    """130, as shells have it, and not a word."""
    command = [sys.executable, "-c", SCRIPT, package, while_importing]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
