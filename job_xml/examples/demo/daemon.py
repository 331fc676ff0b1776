"""The end of the daemon that the wrapper started for the demo.

Knows the daemon's address file and its one method ``stopDaemon``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path

#: Seconds that the daemon gets to stop its VMs and leave, and then to obey SIGTERM.
LEAVE_SECONDS = 20.0
TERMINATE_SECONDS = 10.0
POLL_SECONDS = 0.02


def end_daemon(state: Path) -> None:
    """End the daemon of a state directory, and with it its VMs; nothing happens where none runs."""
    try:
        address = json.loads((state / "daemon.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    pid = address["pid"]
    ask_to_leave(address["url"])
    for patience, number in ((LEAVE_SECONDS, signal.SIGTERM), (TERMINATE_SECONDS, signal.SIGKILL)):
        if wait(lambda: not lives(pid), patience):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    wait(lambda: not lives(pid), TERMINATE_SECONDS)


def ask_to_leave(url: str) -> None:
    """Tell the daemon to stop its VMs without saving them, and to leave; it may be leaving already."""
    with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        xmlrpc.client.ServerProxy(url).stopDaemon(False)


def lives(pid: int) -> bool:
    """Whether a process is there and more than an entry in the table that nobody has collected yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; whether it did within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return holds
