"""Runs the daemon as a process: the reactor, the log, signals, and the line that tells a starter that it is ready."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from vmcontroller.client import LOG_FILE
from vmcontroller.config import Config
from vmcontroller.errors import BadConfiguration, VMControllerError
from vmcontroller.hypervisors import load
from vmcontroller.ledger import Ledger
from vmcontroller.logfile import BoundedLog
from vmcontroller.service import Daemon
from vmcontroller.statedir import StateDirectory


def run(config: Config, ready_fd: int | None = None) -> int:
    """Serve until asked to stop. Returns the exit code: 0, or 1 after telling in a sentence what was wrong.

    ``ready_fd`` gets one line: "ready", or "error CODE SENTENCE".
    """
    from twisted.internet import reactor  # noqa: PLC0415 — importing it chooses one, so only a process may

    # Twisted counts in the wall's time; a clock that is set would look like silence or wake everybody.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    return Process(reactor, config, ready_fd).run()


class Process:
    """One run of the daemon."""

    def __init__(self, reactor: Any, config: Config, ready_fd: int | None) -> None:
        self._reactor = reactor
        self._config = config
        self._ready_fd = ready_fd
        self._daemon: Daemon | None = None
        self._stopping = False
        self._exit_code = 0

    def run(self) -> int:
        """Run the reactor."""
        self._begin_log()
        self._reactor.callWhenRunning(lambda: ensureDeferred(self._start()))
        self._reactor.run(installSignalHandlers=True)
        return self._exit_code

    def _begin_log(self) -> None:
        try:
            level = LogLevel.levelWithName(self._config.log_level)
        except Exception:
            raise BadConfiguration("log_level must be debug, info, warn, error or critical") from None
        predicate = LogLevelFilterPredicate(level)
        if level is not LogLevel.debug:
            for namespace in ("twisted", "log_legacy"):  # every port and factory tells of its coming and going
                predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
        assert self._config.state_dir is not None
        path = self._config.state_dir / LOG_FILE
        bounded = BoundedLog(textFileLogObserver(sys.stderr), sys.stderr.fileno(), path)
        keep: ILogObserver = FilteringLogObserver(bounded, [predicate])
        globalLogBeginner.beginLoggingTo([keep], redirectStandardIO=False)

    async def _start(self) -> None:
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._signalled)
        try:
            self._daemon = self._make()
            await self._daemon.start()
        except Exception as error:
            self._stopping = True
            await self._stop(False)
            self._failed(error)  # who hears of it may start another one at once
        else:
            gc.freeze()  # what is loaded by now stays; to look through it for garbage takes 3 % of every command
            self._tell("ready")

    def _make(self) -> Daemon:
        """The daemon, with its state directory locked; what refuses it leaves no lock and no new ledger."""
        assert self._config.state_dir is not None
        with ExitStack() as undo:
            state = StateDirectory(self._config.state_dir)
            undo.callback(state.release)
            make_hypervisor = load(self._config.hypervisor)
            ledger = Ledger(state.ledger)
            undo.callback(ledger.discard)
            daemon = Daemon(self._reactor, time.time, self._config, state, ledger, make_hypervisor, self._stop_asked)
            undo.pop_all()
        return daemon

    def _failed(self, error: Exception) -> None:
        self._exit_code = 1
        if isinstance(error, VMControllerError):
            code, text = error.code, str(error)
        else:
            code, text = 1, f"the daemon could not start: {error!r}"
            Failure().printTraceback(sys.stderr)
        if self._ready_fd is None:
            sys.stderr.write(f"vmcontroller: {text}\n")
        self._tell(f"error {code} {text}")

    def _tell(self, line: str) -> None:
        if self._ready_fd is not None:
            os.write(self._ready_fd, f"{line}\n".encode())
            os.close(self._ready_fd)
            self._ready_fd = None

    def _signalled(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop_asked, True)

    def _stop_asked(self, save: bool) -> None:
        if not self._stopping:
            self._stopping = True
            # The answer to the call that asked for it goes out first.
            self._reactor.callLater(0.05, lambda: ensureDeferred(self._stop(save)))

    async def _stop(self, save: bool) -> None:
        try:
            if self._daemon is not None:
                await self._daemon.stop(save)
        except Exception:
            Failure().printTraceback(sys.stderr)
            self._exit_code = 1
        finally:
            self._reactor.stop()
