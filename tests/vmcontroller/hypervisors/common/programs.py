"""Programs for the tests to find, freeze and end: each says a line when it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MARKS = {"VMCONTROLLER_OWNER": "tests", "VMCONTROLLER_ID": f"vm-{os.getpid()}"}

#: Says its process id and stays.
SITTER = "print(os.getpid(), flush=True); signal.pause()"
#: Leaves a daemon behind that cleared nothing but its parent, group and session, and ends.
DAEMONISER = f"""
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
{SITTER}
"""
#: Has a child that bears no marks.
DISOWNER = f"""
subprocess.run([sys.executable, "-c", "import os, signal; {SITTER}"], env={{}})
"""
#: Starts processes that start processes, each in a session of its own, as fast as it can. It ends by itself,
#: so that a test that fails leaves no storm behind.
STORM = """
import time
print(os.getpid(), flush=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork() == 0:
        os.setsid()
        os.fork()
        os._exit(0)
"""


@contextmanager
def program(code: str, marks: dict[str, str] = MARKS) -> Iterator[int]:
    """Run a piece of Python; gives the process id that it says. It is killed in the end."""
    script = f"import os, signal, subprocess, sys\n{code}"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", script], env=os.environ | marks, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def eventually(wanted: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes so in time."""
    end = time.monotonic() + seconds
    while not wanted() and time.monotonic() < end:
        time.sleep(0.005)
    return wanted()
