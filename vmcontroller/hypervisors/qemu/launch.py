"""Starts QEMU so that it outlives the daemon, and begins the conversation with it, now or in a later daemon's life.

QEMU runs in a session of its own at the lowest priority. Its socket is bound before it starts, so there is no
moment at which it could not be reached yet, and lies in the machine's directory, which is its user's alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import DeferredSemaphore, TimeoutError
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.threads import deferToThreadPool

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.common.host import IPluginReactor
from vmcontroller.hypervisors.common.tree import environment
from vmcontroller.hypervisors.qemu.commandline import bare
from vmcontroller.hypervisors.qemu.emulator import Emulator
from vmcontroller.hypervisors.qemu.qmp import Message, Monitor
from vmcontroller.hypervisors.qemu.record import Home

#: Seconds that QEMU may take until it speaks.
PATIENCE = 30.0
_LAST_WORDS = 2000

Hear = Callable[[str, Message], None]


class IQemuReactor(IPluginReactor, IReactorUNIX):
    """What this plugin needs of the reactor."""


@dataclass(frozen=True)
class Order:
    """What is to be started: a machine's QEMU, with the marks in its environment."""

    home: Home
    accelerator: str
    arguments: Sequence[str]
    marks: Mapping[str, str]


class Launcher:
    """Starts QEMU, as many at a time as there are processors: more at once would only be slower together."""

    def __init__(self, reactor: IQemuReactor, patience: float = PATIENCE) -> None:
        self._reactor = reactor
        self._patience = patience
        self._turns = DeferredSemaphore(os.cpu_count() or 1)

    async def launch(self, emulator: Emulator, order: Order, hear: Hear) -> tuple[int, Monitor]:
        """Start a machine's QEMU; its process id, and the conversation.

        HypervisorFailed holds QEMU's last words; it has ended then.
        """
        await self._turns.acquire()
        try:
            with _listening(order.home) as listener:
                pid = _spawn(emulator, order, listener.fileno())
                # We wait in the listener's queue until QEMU has time, or hear at once that it has ended.
                monitor = await self._connected(order.home, hear)
            try:
                return pid, await self._begun(order.home, monitor)
            except HypervisorFailed:
                await self._end(pid)
                raise
        finally:
            self._turns.release()

    async def _end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), os.waitpid, pid, 0)

    async def converse(self, home: Home, hear: Hear) -> Monitor:
        """Begin the conversation with a QEMU that runs already. HypervisorFailed holds QEMU's last words."""
        return await self._begun(home, await self._connected(home, hear))

    async def _connected(self, home: Home, hear: Hear) -> Monitor:
        monitor = Monitor(self._reactor, hear)
        with _short(home.path) as folder:
            endpoint = UNIXClientEndpoint(self._reactor, str(folder / home.socket.name), timeout=self._patience)
            try:
                await connectProtocol(endpoint, monitor)
            except ConnectError as error:
                raise HypervisorFailed(f"QEMU does not answer: {error}") from error
        return monitor

    async def _begun(self, home: Home, monitor: Monitor) -> Monitor:
        try:
            await monitor.ready.addTimeout(self._patience, self._reactor)
        except (TimeoutError, HypervisorFailed) as error:
            monitor.hang_up()
            raise HypervisorFailed(f"QEMU does not answer; it said: {last_words(home)}") from error
        return monitor


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """A name of the directory that is short enough for a Unix socket's address (108 octets, unix(7))."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


@contextmanager
def _listening(home: Home) -> Iterator[socket.socket]:
    home.socket.unlink(missing_ok=True)
    with _short(home.path) as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / home.socket.name))
        home.socket.chmod(0o600)
        listener.listen(1)
        yield listener


def _spawn(emulator: Emulator, order: Order, listener: int) -> int:
    qmp = ("-chardev", f"socket,id=qmp,fd={listener},server=on,wait=off", "-mon", "qmp,mode=control")
    bones = bare(order.accelerator, emulator.sandbox)
    try:
        with order.home.log.open("wb") as log:
            process = subprocess.Popen(
                (*_modestly(), emulator.program, *bones, *qmp, *order.arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener],
                cwd=order.home.path,
                env=environment(order.marks),
                start_new_session=True,
            )
    except OSError as error:
        raise HypervisorFailed(f"QEMU cannot be run: {error}; reinstall it") from error
    process.returncode = 0  # It may outlive us and is reaped by its id: Popen shall not wait for it.
    _yield_to_other_sessions(process.pid)
    return process.pid


def _modestly() -> tuple[str, ...]:
    """The programs before QEMU that give it what nobody else wants of processor and disk."""
    ways = (("nice", "-n", "19"), ("ionice", "-c", "3"))
    return tuple(word for way in ways if shutil.which(way[0]) for word in way)


def _yield_to_other_sessions(pid: int) -> None:
    # A session's niceness counts only within it where the kernel groups by session (sched(7), autogroup).
    try:
        Path(f"/proc/{pid}/autogroup").write_text("19")
    except OSError:
        pass


def last_words(home: Home) -> str:
    """What QEMU said last."""
    try:
        lines = home.log.read_bytes()[-_LAST_WORDS:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return " | ".join(line.strip() for line in lines[-5:]) or "nothing"
