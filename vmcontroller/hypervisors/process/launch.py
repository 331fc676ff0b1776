"""Starts the agent of a machine and hears where it listens; what happens to the machine is not decided here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.common.tree import environment
from vmcontroller.hypervisors.process.record import Home, Running

#: Seconds that an agent may take to open its ports.
PATIENCE = 30.0
_LONGEST_LINE = 4096
_LAST_WORDS = 2000
_PACKAGES = Path(__file__).parents[3]


def agent_command() -> tuple[str, ...]:
    """How the guest agent is called on this system; the arguments of one machine follow."""
    return (sys.executable, "-m", "vmcontroller_guest")


def _arguments(home: Home, ports_fd: int) -> tuple[str, ...]:
    places = ("--seed", home.seed, "--state", home.agent, "--serve", home.files)
    ports = ("--listen", "127.0.0.1", "--door-port", 0, "--chirp-port", 0, "--ports-fd", ports_fd)
    return tuple(map(str, places + ports))


class Launcher:
    """Starts agents, a few at a time: more at once would only be slower together."""

    def __init__(self, host: Host, command: Sequence[str], patience: float) -> None:
        self._host = host
        self._command = tuple(command)
        self._patience = patience
        self._turns = DeferredSemaphore(2 * (os.cpu_count() or 1))

    async def launch(self, home: Home, marks: Mapping[str, str]) -> Running:
        """Start the machine's agent with the marks in its environment; it listens then.

        HypervisorFailed holds the agent's last words; the agent has ended then.
        """
        await self._turns.acquire()
        try:
            return await self._launch(home, marks)
        finally:
            self._turns.release()

    async def _launch(self, home: Home, marks: Mapping[str, str]) -> Running:
        pid, pipe = self._spawn(home, marks)
        try:
            line = await _Announcement(self._host.reactor, pipe).line.addTimeout(self._patience, self._host.reactor)
            running = _running(pid, line)
        except TimeoutError:
            running = None
        if running is None:
            await self._end(pid)
            words = _last_words(home)
            raise HypervisorFailed(f"the agent opened no ports (it has {self._patience:g} s); it said: {words}")
        return running

    async def _end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        await self._host.in_thread(os.waitpid, pid, 0)

    def _spawn(self, home: Home, marks: Mapping[str, str]) -> tuple[int, int]:
        reading, writing = os.pipe()
        try:
            with home.log.open("wb") as log:
                process = subprocess.Popen(
                    (*self._command, *_arguments(home, writing)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[writing],
                    # Python looks for modules in its working directory first: no file of a guest's may lie there.
                    cwd=_PACKAGES,
                    env=environment(marks),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(reading)
            raise HypervisorFailed(f"the agent cannot be run: {error}; is {self._command[0]} installed?") from error
        finally:
            os.close(writing)
        process.returncode = 0  # It may outlive us and is reaped by its id: Popen shall not wait for it.
        return process.pid, reading


def _running(pid: int, line: bytes) -> Running | None:
    process = proc.read(pid)
    if process is None or process.ended:
        return None
    try:
        ports = json.loads(line)
        return Running(pid, process.started, proc.boot_id(), int(ports["door"]), int(ports["chirp"]))
    except (ValueError, KeyError, TypeError):
        return None


def _last_words(home: Home) -> str:
    with home.log.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return " | ".join(line.strip() for line in lines[-5:]) or "nothing"


@implementer(IReadDescriptor)
class _Announcement:
    """The one line that an agent writes when it listens; it is not whole when the agent ended before."""

    def __init__(self, reactor: IReactorFDSet, pipe: int) -> None:
        self._reactor = reactor
        self._pipe = pipe
        self._heard = b""
        self.line: Deferred[bytes] = Deferred(lambda _: self._close())
        os.set_blocking(pipe, False)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._pipe

    def logPrefix(self) -> str:
        return "agent's ports"

    def doRead(self) -> None:
        data = os.read(self._pipe, _LONGEST_LINE)
        self._heard += data
        if not data or b"\n" in data or len(self._heard) > _LONGEST_LINE:
            self._finish()

    def connectionLost(self, reason: Failure) -> None:
        self._finish()

    def _finish(self) -> None:
        self._close()
        self.line.callback(self._heard)

    def _close(self) -> None:
        if self._pipe >= 0:
            self._reactor.removeReader(self)
            os.close(self._pipe)
            self._pipe = -1
