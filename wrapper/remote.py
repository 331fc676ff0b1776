"""Calls to the daemon from a thread of their own, so that none ever blocks the loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any

from vmcontroller.client import Client


class Code(IntEnum):
    """The faults that the wrapper tells apart (docs/reference/errors.md)."""

    BAD_REQUEST = 100
    BAD_NAME = 101
    BAD_SIZE = 102
    UNKNOWN_VM = 200
    BAD_STATE = 202
    GUEST_SILENT = 203
    NETWORK_DENIED = 206
    UNKNOWN_COMMAND = 300
    COMMAND_ENDED = 302
    TRANSFER_FAILED = 400
    NO_SUCH_FILE = 401
    FILE_DENIED = 402
    UNSUPPORTED = 500
    HYPERVISOR_FAILED = 501
    UNKNOWN_HYPERVISOR = 502
    HYPERVISOR_MISSING = 503
    BROKEN_PLUGIN = 504
    BAD_IMAGE = 505
    NO_SUCH_IMAGE = 506
    IMAGE_DENIED = 507
    IMAGE_DAMAGED = 508
    NETWORK_REFUSED = 512
    EMULATION_REFUSED = 513
    UNKNOWN_SNAPSHOT = 600
    SNAPSHOT_DAMAGED = 602
    UNKNOWN_LEASE = 700
    NOT_RUNNING = 901
    STATE_DIRECTORY_UNUSABLE = 902
    PORT_TAKEN = 903
    DISK_FULL = 904
    BAD_CONFIGURATION = 905


class Refused(Exception):
    """A call did not give what it should. ``code`` is the fault's, NOT_RUNNING when the daemon is not there."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Remote:
    """One worker thread and its connection. Calls are made one after the other, in the order in which they come.

    ``ring`` is called whenever one has been answered. The thread never keeps the program from ending.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.client: Client | None = None

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """Call a method of the daemon's API; the future fails with Refused."""
        return self.do(lambda: self._call(method, arguments))

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if self.client is None:
            raise Refused(Code.NOT_RUNNING, "no daemon is connected")
        return self.client.call(method, *arguments)

    def do(self, work: Callable[[], Any]) -> Future[Any]:
        """Let the worker do anything else that blocks."""
        future: Future[Any] = Future()
        self._orders.put((future, work))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="remote", daemon=True)
            self._thread.start()
        return future

    def _serve(self) -> None:
        while True:
            future, work = self._orders.get()
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(_as_refused(error))
            self._ring()


def _as_refused(error: Exception) -> Exception:
    """Every error of the daemon and its client carries a code; what carries none is a bug and stays what it is."""
    code = getattr(error, "code", None)
    return Refused(code, str(error)) if isinstance(code, int) and not isinstance(error, Refused) else error
