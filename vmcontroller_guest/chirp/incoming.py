"""A file on its way into the served directory: it appears under its name when it is whole and on disk, or not at all.

Until then it has a hidden name of the server's own, and what stood under its name stands there still.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import ExitStack
from types import TracebackType

from vmcontroller.wire.chirp import ChirpError
from vmcontroller_guest.chirp.served import INCOMING, ServedFiles


class Incoming:
    """One such file, as a context: whoever leaves it without keep() leaves nothing behind.

    Neither making one nor write() ever fails, because the octets must be taken off the connection in any case;
    what went wrong is raised by check() and keep().
    """

    def __init__(self, files: ServedFiles, path: str, mode: int, size: int) -> None:
        self._files = files
        self._mode = mode & 0o777
        self._held = ExitStack()
        self._trouble: OSError | ChirpError | None = None
        try:
            self._begin(path, size)
        except (OSError, ChirpError) as trouble:
            self._trouble = trouble

    def _begin(self, path: str, size: int) -> None:
        self._directory, self._name = self._held.enter_context(self._files.place(path, follow=False))
        _refuse_directory(self._directory, self._name)
        _require_space(self._files.space(), size)
        self._temporary = f"{INCOMING}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._fd = os.open(self._temporary, flags, 0o600, dir_fd=self._files.root)
        self._held.callback(os.close, self._fd)
        self._removal = self._held.enter_context(ExitStack())
        self._removal.callback(os.unlink, self._temporary, dir_fd=self._files.root)

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def check(self) -> None:
        """Raise what went wrong so far: OSError or ChirpError."""
        if self._trouble is not None:
            raise self._trouble

    def write(self, octets: memoryview) -> None:
        """Take the next octets; after trouble, only let them pass by."""
        try:
            while octets and self._trouble is None:
                octets = octets[os.write(self._fd, octets) :]
        except OSError as trouble:
            self._trouble = trouble

    def keep(self) -> None:
        """It is whole: bring it to disk, then put it under its name. Raises as check() does."""
        self.check()
        os.fchmod(self._fd, self._mode)
        os.fsync(self._fd)
        os.rename(self._temporary, self._name, src_dir_fd=self._files.root, dst_dir_fd=self._directory)
        self._removal.pop_all()
        self._files.unsettled(self._directory)


def _refuse_directory(directory: int, name: str) -> None:
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _require_space(space: os.statvfs_result, size: int) -> None:
    if space.f_blocks and size > space.f_bfree * space.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
