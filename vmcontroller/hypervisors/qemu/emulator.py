"""What the installed QEMU is and can: asked of QEMU itself, once in a daemon's life."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from vmcontroller.errors import HypervisorFailed, HypervisorMissing
from vmcontroller.hypervisors.qemu.commandline import bare

PROGRAM = "qemu-system-x86_64"
_PATIENCE = 30.0
_OLDEST = (7, 1)
_BOARD = "q35"


@dataclass(frozen=True)
class Emulator:
    """``board`` is the newest machine type of the kind that machines are made of, with its version."""

    program: str
    version: str
    board: str
    sandbox: bool


def find() -> Emulator:
    """The QEMU of this host. Blocks. HypervisorMissing says what to install."""
    program = shutil.which(PROGRAM)
    if program is None or shutil.which("qemu-img") is None:
        raise HypervisorMissing(
            "the hypervisor 'qemu' needs QEMU: apt install qemu-system-x86 qemu-utils, or choose another hypervisor"
        )
    try:
        return _ask(program, sandbox=True)
    except HypervisorFailed:
        return _ask(program, sandbox=False)  # It was built without seccomp.


def _ask(program: str, sandbox: bool) -> Emulator:
    questions = ("qmp_capabilities", "query-version", "query-machines", "quit")
    said = "".join(json.dumps({"execute": question, "id": question}) + "\n" for question in questions)
    command = (program, *bare("tcg", sandbox), "-S", "-M", "none", "-qmp", "stdio")
    try:
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        answers = {answer.get("id"): answer.get("return") for answer in map(json.loads, done.stdout.splitlines())}
        number = answers["query-version"]["qemu"]
        version = (number["major"], number["minor"], number["micro"])
        board = _newest(answers["query-machines"])
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        words = locals().get("done") and " ".join(done.stderr.split())
        raise HypervisorFailed(f"{program} does not work: {words or error!r}; reinstall QEMU") from error
    if version < _OLDEST:
        raise HypervisorMissing(f"QEMU is {'.'.join(map(str, version))}, and 7.1 or newer is needed; upgrade it")
    return Emulator(program, ".".join(map(str, version)), board, sandbox)


def _newest(machines: list[dict[str, Any]]) -> str:
    return next(str(machine["name"]) for machine in machines if machine.get("alias") == _BOARD)
