"""Find the daemon of a state directory, or start one.

It knows the address file, the command line of ``vmcontroller daemon`` and its ready line, and nothing else of it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from vmcontroller.client.calls import Address, ApiFault, Client
from vmcontroller.errors import AlreadyRunning, NotRunning, StateDirectoryUnusable, VMControllerError

ADDRESS_FILE = "daemon.json"
LOG_FILE = "daemon.log"
#: Seconds in which a daemon that is there answers, and in which a new one is ready.
PROBE_SECONDS = 5.0
START_SECONDS = 30.0
LOOK_SECONDS = 0.05
_PACKAGES = Path(__file__).parents[2]


def default_state_dir() -> Path:
    """VMCONTROLLER_STATE_DIR, or else the user's state directory. StateDirectoryUnusable where there is no home."""
    chosen = os.environ.get("VMCONTROLLER_STATE_DIR")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    path = user_state_path("vmcontroller", appauthor=False)
    if not path.is_absolute():
        raise StateDirectoryUnusable("there is no home directory; name a state directory with --state-dir")
    return path


def find(state_dir: Path | str) -> Address | None:
    """The address of the daemon that owns a state directory, or None if nobody answers there."""
    client = _answering(Path(state_dir))
    if client is None:
        return None
    client.close()
    return client.address


def connect(state_dir: Path | str, cwd: Path | str | None = None, timeout: float | None = None) -> Client:
    """A Client of the daemon that owns a state directory; ``cwd`` and ``timeout`` as there. NotRunning."""
    client = _answering(Path(state_dir), cwd)
    if client is None:
        raise NotRunning(f"no daemon runs for {state_dir}; start one with: vmcontroller daemon --background")
    client.timeout = timeout
    return client


def _answering(state_dir: Path, cwd: Path | str | None = None) -> Client | None:
    address = _written(state_dir / ADDRESS_FILE)
    if address is None:
        return None
    client = Client(address, cwd, PROBE_SECONDS)
    try:
        client.call("system.listMethods")
    except VMControllerError:
        client.close()
        return None
    return client


def _written(path: Path) -> Address | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Address(**{f.name: said[f.name] for f in fields(Address)})
    except PermissionError:
        raise StateDirectoryUnusable(f"{path} belongs to another user; choose another with --state-dir") from None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def await_stopped(state_dir: Path | str, address: Address, timeout: float) -> bool:
    """Wait until this daemon has taken its address away, its last deed; False after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while _written(Path(state_dir) / ADDRESS_FILE) == address:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def start(state_dir: Path | str, arguments: Sequence[str] = ()) -> Address:
    """Start a daemon in a session of its own, wait until it is ready and return its address.

    Where one runs already, that one's. ``arguments`` are more options of ``vmcontroller daemon``. Raises what
    kept the daemon from starting: ApiFault with its code, NotRunning, StateDirectoryUnusable.
    """
    home = Path(state_dir).absolute()
    return find(home) or _started(home, ["--state-dir", str(home), *arguments])


def _started(home: Path, arguments: Sequence[str]) -> Address:
    _make(home)
    deadline = time.monotonic() + START_SECONDS
    if os.name == "posix":
        _spawn_and_hear(home, arguments, deadline)
    else:
        _spawn(home, arguments, creationflags=getattr(subprocess, "DETACHED_PROCESS", 0))
    return _await_found(home, deadline)


def _make(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / LOG_FILE).touch(mode=0o600)
    except OSError as error:
        raise StateDirectoryUnusable(f"{home}: {error.strerror}; choose another with --state-dir") from None


def _spawn(home: Path, arguments: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """It begins where this package is found, so that nothing in its environment need say where."""
    command = [sys.executable, "-m", "vmcontroller", "daemon", *arguments]
    with (home / LOG_FILE).open("ab") as log:
        return subprocess.Popen(command, cwd=_PACKAGES, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **how)


def _spawn_and_hear(home: Path, arguments: Sequence[str], deadline: float) -> None:
    """``--detach`` makes the daemon nobody's child: a BOINC client ends the children of its applications."""
    ours, its = os.pipe()
    with open(ours, "rb", buffering=0) as pipe:
        try:
            more = [*arguments, "--detach", "--ready-fd", str(its)]
            child = _spawn(home, more, pass_fds=(its,), start_new_session=True)
        finally:
            os.close(its)
        line = _line(pipe.fileno(), deadline)
    if line is None:
        _end_session(child.pid)
    child.wait()
    _judge(line, home / LOG_FILE)


def _line(descriptor: int, deadline: float) -> str | None:
    """The line that comes before the deadline, "" when the pipe is closed without one, None when nothing happens."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            more = os.read(descriptor, 4096)
            if not more:
                return ""
            line += more
    return line.decode("utf-8", "replace").strip()


def _end_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGTERM)
    except ProcessLookupError:
        pass


def _judge(line: str | None, log: Path) -> None:
    if line is None:
        raise NotRunning(f"the daemon was not ready after {START_SECONDS:g} s and was ended; {log} says more")
    if not line:
        raise NotRunning(f"the daemon ended before it was ready; {log} says why")
    if line.startswith("error "):
        _, code, text = line.split(" ", 2)
        if int(code) != AlreadyRunning.code:
            raise ApiFault(int(code), text)


def _await_found(home: Path, deadline: float) -> Address:
    """A first daemon holds the lock before it can be called, so a second start may have to wait for it."""
    while time.monotonic() < deadline:
        address = find(home)
        if address:
            return address
        time.sleep(LOOK_SECONDS)
    raise NotRunning(f"no daemon answered within {START_SECONDS:g} s; {home / LOG_FILE} says more")
