"""A real daemon in a directory of its own, with real agents as its VMs: what a test of the whole way lives in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from vmcontroller import client

#: Seconds within which anything in a test must happen.
DEADLINE = 60.0


class House:
    """A daemon's state directory, and a client of it."""

    def __init__(self, state: Path, arguments: tuple[str, ...] = ()) -> None:
        self.state = state
        self.arguments = arguments
        self.address = client.start(state, arguments)
        self.client = client.connect(state, cwd=state, timeout=DEADLINE)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call the daemon."""
        return self.client.call(method, *arguments)

    def vm(self, name: str, **options: Any) -> str:
        """A VM that runs and whose agent is there."""
        self.call("createVM", name, "", options)
        self.call("start", name)
        assert self.call("waitForVM", name, DEADLINE), f"{name} did not say HELLO within {DEADLINE} s"
        return name

    def vms(self, *names: str) -> list[str]:
        """Several of them, brought up side by side."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._bring_up, names))
        for name in names:
            assert self.call("waitForVM", name, DEADLINE), f"{name} did not say HELLO within {DEADLINE} s"
        return list(names)

    def _bring_up(self, name: str) -> None:
        with self.client.another() as its_client:
            its_client.call("createVM", name)
            its_client.call("start", name)

    def run(self, to: str, command: str, *arguments: str, **options: Any) -> str:
        """Run a command; its id."""
        return str(self.call("runCmd", to, command, list(arguments), {}, "", "", options))

    def result(self, cmd_id: str, timeout: float = DEADLINE) -> Any:
        """The result of a command, once it has ended."""
        ended = self.call("waitForCmd", cmd_id, timeout)
        assert ended["finished"], f"{cmd_id} has not ended at {ended['waiting']}"
        return self.call("getCmdResults", cmd_id)

    def shell(self, to: str, script: str, **options: Any) -> Any:
        """Run a line of shell and wait for its result."""
        return self.result(self.run(to, "/bin/sh", "-c", script, **options))

    def agent(self, vm: str) -> psutil.Process:
        """The process of a VM's agent."""
        its = str(self.state / "vms" / self.call("getVM", vm)["id"])
        for process in psutil.process_iter(["cmdline"]):
            if "vmcontroller_guest" in (line := process.info["cmdline"] or []) and any(its in word for word in line):
                return process
        raise AssertionError(f"{vm} has no agent")

    def kill_daemon(self) -> None:
        """kill -9, and wait until it is gone."""
        daemon = psutil.Process(self.address.pid)
        daemon.kill()
        psutil.wait_procs([daemon], DEADLINE)

    def restart(self) -> None:
        """Another daemon for the same directory."""
        self.client.close()
        self.address = client.start(self.state, self.arguments)
        self.client = client.connect(self.state, cwd=self.state, timeout=DEADLINE)

    def close(self) -> None:
        """Remove every VM, stop the daemon, and see that no process of ours is left."""
        for vm in self.call("listVMs"):
            self.call("removeVM", vm)
        self.call("stopDaemon", False)
        self.client.close()
        assert client.await_stopped(self.state, self.address, DEADLINE)
        wait_for(lambda: not self.processes(), f"processes left: {self.processes()}")

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to this house."""
        mark = str(self.state)
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and (mark in " ".join(process.cmdline()) or mark in _home(process)):
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
            except psutil.Error:
                continue
        return found


def _home(process: psutil.Process) -> str:
    """Where a process works, unless it has ended."""
    return "" if process.status() == psutil.STATUS_ZOMBIE else process.cwd()


def wait_for(condition: Any, why: str, timeout: float = DEADLINE) -> None:
    """Wait until something outside of our reach holds, with a deadline."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.02)


@contextmanager
def house(state: Path, *arguments: str) -> Iterator[House]:
    """A house that is left as it was found, also when the test fails."""
    lived = House(state, arguments)
    try:
        yield lived
    except BaseException:
        _burn(lived)
        raise
    lived.close()


def _burn(lived: House) -> None:
    """After a failure: end whatever is left, by its id."""
    for line in lived.processes():
        try:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            pass
