"""Every module imports where Unix is not: on Windows there is no fcntl, no fork and no SIGKILL.

Simulated: all modules are imported once, so that what others wrote is loaded; then what Windows lacks is taken
away, and ours are imported anew. A part that may need Unix says ``Unix only`` or ``Linux only`` in the docstring of
the module that does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, ROOT, imports, is_of

#: Parts of which some modules may need Unix.
UNIX_PARTS = ("vmcontroller_guest", "vmcontroller.hypervisors.process")

#: Modules and names that Python has on Unix alone (docs.python.org, "Availability: Unix").
ABSENT = {
    "modules": "fcntl resource pwd grp termios tty pty syslog crypt spwd nis posix curses readline",
    "os": "fork forkpty getuid geteuid getgid getegid setuid setgid setsid getsid setpgid getpgid getpgrp killpg"
    " wait wait3 wait4 waitid WNOHANG WNOWAIT WEXITED P_ALL P_PID mkfifo mknod chown lchown fchown"
    " getloadavg uname sysconf nice openpty pidfd_open copy_file_range sendfile statvfs fstatvfs posix_spawn"
    " O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY O_SYNC register_at_fork sched_getaffinity getgroups initgroups",
    "signal": "SIGKILL SIGSTOP SIGCONT SIGTSTP SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGALRM SIGQUIT SIGXCPU"
    " alarm setitimer pause sigwait pthread_sigmask pthread_kill pidfd_send_signal",
    "socket": "AF_UNIX SCM_RIGHTS CMSG_LEN",
    "time": "CLOCK_MONOTONIC CLOCK_BOOTTIME clock_gettime clock_settime",
}

SCRIPT = """
import importlib, json, sys, warnings
modules, absent = json.load(sys.stdin)
warnings.simplefilter("ignore")
for name in modules:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.split(".")[0] in {module.split(".")[0] for module in modules}]:
    del sys.modules[name]
for name in absent.pop("modules").split():
    sys.modules[name] = None
for module, names in absent.items():
    for name in names.split():
        if hasattr(importlib.import_module(module), name):
            delattr(importlib.import_module(module), name)
failed = {}
for name in modules:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
json.dump(failed, sys.stdout)
"""


def without_unix(modules: list[str]) -> dict[str, str]:
    """Those of the modules that cannot be imported without Unix, and why."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([modules, ABSENT]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def says_so(module: str) -> bool:
    """Whether a module of a Unix part, or one of that part which it imports, tells its reader that it needs Unix."""
    part = next((part for part in UNIX_PARTS if is_of(module, part)), "")
    if not part:
        return False
    text = MODULES[module].read_text(encoding="utf-8")
    return "Unix only" in text or "Linux only" in text or any(map(says_so, neighbours(module, part)))


def neighbours(module: str, part: str) -> set[str]:
    """The modules of the same part that a module imports."""
    return {other for other in MODULES if is_of(other, part) and any(is_of(name, other) for name in imports(module))}


def test_imports_without_unix() -> None:
    """Each module imports on a system without Unix, or says that it does not."""
    failed = without_unix(list(MODULES))
    assert {name: why for name, why in failed.items() if not says_so(name)} == {}


def test_the_simulation_takes_unix_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that imports fcntl, or takes a name of Unix while it is imported, is found."""
    for name, line in [("plain", "import os"), ("locks", "import fcntl"), ("forks", "import os; f = os.fork")]:
        (tmp_path / f"{name}.py").write_text(line)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert set(without_unix(["plain", "locks", "forks"])) == {"locks", "forks"}
