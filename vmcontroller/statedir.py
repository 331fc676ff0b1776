"""The state directory: one daemon at a time owns it, and its address and secret lie there for its user alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from vmcontroller import disk
from vmcontroller.errors import AlreadyRunning

LOCK_FILE, ADDRESS_FILE, LEDGER_FILE = "lock", "daemon.json", "ledger.sqlite"
COMMANDS_DIRECTORY, IMAGES_DIRECTORY = "cmds", "images"


class StateDirectory:
    """A locked state directory.

    AlreadyRunning when another daemon owns it; StateDirectoryUnusable, DiskFull when nobody can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise disk.explain(error, path) from None
        try:
            _lock(self._lock)
        except OSError:
            os.close(self._lock)
            raise AlreadyRunning(f"a daemon owns {path} already; vmcontroller status shows it") from None

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.path / LEDGER_FILE

    @property
    def commands(self) -> Path:
        """Where commands' output lies."""
        return self.path / COMMANDS_DIRECTORY

    @property
    def images(self) -> Path:
        """Where hypervisors keep the images that they share."""
        return self.path / IMAGES_DIRECTORY

    def announce(self, address: dict[str, Any]) -> None:
        """Tell clients where the daemon is; written whole or not at all, readable by its user alone. DiskFull."""
        draft = self.path / f"{ADDRESS_FILE}.new"
        try:
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(address, indent=1) + "\n")
            os.replace(draft, self.path / ADDRESS_FILE)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise disk.explain(error, draft) from None

    def release(self) -> None:
        """The daemon is gone; the lock file stays, for a lock that is deleted can be held twice."""
        (self.path / ADDRESS_FILE).unlink(missing_ok=True)
        os.close(self._lock)


def _lock(file: int) -> None:
    """Take the lock or raise OSError; the system frees it when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 — there is none elsewhere

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 — there is none on Windows

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(file, False)
