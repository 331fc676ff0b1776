"""Keeps daemon.log from growing without bound: one file of the past is kept, what is older goes.

Whoever starts the daemon has opened the file and given it as standard error, so that nothing it says is missed, not
even a traceback of the interpreter. So the file is not renamed under it, but copied and emptied.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

#: Octets from which on a log is put aside.
LARGEST = 1024 * 1024


@implementer(ILogObserver)
class BoundedLog:
    """Passes events on to ``observer``, which writes to ``descriptor``, and bounds the file at ``path``.

    If ``descriptor`` is something else, a terminal or a file of the user's own, it is left alone.
    """

    def __init__(self, observer: ILogObserver, descriptor: int, path: Path) -> None:
        self._observer = observer
        self._descriptor = descriptor
        self._path = path
        self._past = path.with_name(f"{path.name}.1")
        self.bound()

    def __call__(self, event: LogEvent) -> None:
        self._observer(event)
        self.bound()

    def bound(self) -> None:
        """Put the log aside if it is too large."""
        try:
            there = os.fstat(self._descriptor)
            if there.st_size > LARGEST and os.path.samestat(there, self._path.stat()):
                self._put_aside()
        except OSError:
            pass  # a log that cannot be bounded is no reason not to log

    def _put_aside(self) -> None:
        try:
            shutil.copy(self._path, self._past)
        except OSError:
            self._past.unlink(missing_ok=True)  # half a copy would be worse than none, and the disk may be full
        os.truncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_END)
