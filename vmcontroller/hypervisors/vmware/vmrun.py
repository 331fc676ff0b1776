"""The program vmrun: how it is found and called, and which machines it says are running. Blocks.

It ends with 0, or says "Error: " and why on its standard output ("Using vmrun to Control Virtual Machines").
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from vmcontroller.errors import DiskFull, HypervisorFailed, HypervisorMissing

#: Seconds that one call may take; to save a large machine takes long.
PATIENCE = 600.0
#: Seconds for which an answer of ``vmrun list`` is good, unless something was done meanwhile.
FRESH = 0.5
_PLACES = (
    "/Applications/VMware Fusion.app/Contents/Public/vmrun",
    "/Applications/VMware Fusion.app/Contents/Library/vmrun",
    r"C:\Program Files\VMware\VMware Workstation\vmrun.exe",
    r"C:\Program Files (x86)\VMware\VMware Workstation\vmrun.exe",
)


def find() -> str:
    """Where vmrun is; HypervisorMissing."""
    found = shutil.which("vmrun") or next((place for place in _PLACES if os.path.exists(place)), None)
    if found is None:
        raise HypervisorMissing(
            "vmrun was not found; install VMware Workstation Pro or VMware Fusion, and put vmrun's directory on PATH"
        )
    return found


class Unanswered(HypervisorFailed):
    """vmrun was ended because it took too long; whether it did what it was told is not known."""


class Vmrun:
    """``program`` is how it is called, None where it has to be found; ``product`` is its option -T."""

    def __init__(self, program: Sequence[str] | None = None, product: str = "", patience: float = PATIENCE) -> None:
        self._program = program
        self._patience = patience
        self._product = product or ("fusion" if sys.platform == "darwin" else "ws")
        self._lock = threading.Lock()
        self._deeds = 0
        self._listed: tuple[float, frozenset[str]] = (-FRESH, frozenset())

    def tell(self, verb: str, vmx: Path, *words: str, patience: float | None = None) -> str:
        """Have something done to a machine. HypervisorFailed holds what vmrun said; Unanswered."""
        try:
            return self._run(verb, str(vmx), *words, patience=patience)
        finally:
            with self._lock:
                self._deeds += 1
                self._listed = (-FRESH, frozenset())

    def is_running(self, vmx: Path) -> bool:
        """Whether the machine runs or is paused."""
        return _canonical(str(vmx)) in self._running()

    def check(self) -> None:
        """HypervisorMissing, or HypervisorFailed when it does not answer."""
        self._run("list")

    def version(self) -> str:
        """Without a verb vmrun says which version it is, and how it is called."""
        words = self._call()[1].split()
        return words[words.index("version") + 1] if "version" in words[:-1] else "of unknown version"

    def _running(self) -> frozenset[str]:
        with self._lock:
            (when, known), deeds = self._listed, self._deeds
        if time.monotonic() - when < FRESH:
            return known
        # The first line says how many there are.
        found = frozenset(_canonical(line) for line in self._run("list").splitlines()[1:] if line.strip())
        with self._lock:
            if deeds == self._deeds:
                self._listed = (time.monotonic(), found)
        return found

    def _run(self, *words: str, patience: float | None = None) -> str:
        code, said = self._call("-T", self._product, *words, patience=patience)
        if code:
            why = " ".join(said.split()) or f"exit code {code}"
            raise (DiskFull if "No space" in why else HypervisorFailed)(f"vmrun {words[0]}: {why}")
        return said

    def _call(self, *words: str, patience: float | None = None) -> tuple[int, str]:
        """Its exit code and what it said."""
        patience = patience or self._patience
        if self._program is None:
            self._program = (find(),)
        # A file and no pipe: a machine that it starts may keep its output open.
        with tempfile.TemporaryFile() as said:
            try:
                done = subprocess.run(
                    (*self._program, *words),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    timeout=patience,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise Unanswered(f"vmrun {' '.join(words)}: no answer in {patience:g} s") from error
            except OSError as error:
                raise HypervisorMissing(f"vmrun cannot be run: {error}; install VMware anew") from error
            said.seek(0)
            return done.returncode, said.read().decode("utf-8", "replace")


def _canonical(path: str) -> str:
    return os.path.normcase(os.path.realpath(path.strip()))
