"""The end of what the wrapper started for the demo: the daemon, its VMs, and what runs in them.

All of them know the demo's directory, by their command line or by their environment: so they are found also where
the daemon is only just starting, is leaving already, or was killed. Knows the daemon's address file and the one
method ``stopDaemon``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
import xmlrpc.client
from pathlib import Path

PROC = Path("/proc")

#: Seconds that the daemon gets to stop its VMs and leave, and then to obey each signal.
LEAVE_SECONDS = 20.0
OBEY_SECONDS = 10.0
POLL_SECONDS = 0.05


def end_all(directory: Path, state: Path) -> None:
    """End the daemon of the state directory, and then every process that belongs to the directory above it."""
    if not remaining(directory):
        return
    ask_to_leave(state / "daemon.json")
    if gone(directory, LEAVE_SECONDS):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in remaining(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if gone(directory, OBEY_SECONDS):
            return


def ask_to_leave(address: Path) -> None:
    """Tell the daemon to stop its VMs without saving them, and to leave; it may be leaving already."""
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException, xmlrpc.client.Error):
        url = json.loads(address.read_text(encoding="utf-8"))["url"]
        xmlrpc.client.ServerProxy(url).stopDaemon(False)


def gone(directory: Path, seconds: float) -> bool:
    """Wait until no process belongs to the directory; whether it came to that."""
    deadline = time.monotonic() + seconds
    while remaining(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def remaining(directory: Path) -> list[int]:
    """The processes that know the directory."""
    known = in_proc(os.fsencode(directory)) if PROC.is_dir() else in_ps(str(directory))
    return [pid for pid in known if pid != os.getpid()]


def in_proc(directory: bytes) -> list[int]:
    """Those of Linux. A process that has ended and is not collected yet has neither command line nor environment."""
    return [int(entry.name) for entry in PROC.glob("[0-9]*") if directory in told(entry)]


def told(entry: Path) -> bytes:
    """What a process was told when it began; nothing where that is none of our business."""
    said = b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):
            said += (entry / name).read_bytes()
    return said


def in_ps(directory: str) -> list[int]:
    """Those of other systems, by their command lines: the daemon and the agents, which end what they run."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if directory in line]
