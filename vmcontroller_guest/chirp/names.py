"""The verbs that work on names: look at them, list them, make, move and remove them."""

from __future__ import annotations

from vmcontroller.channel import Channel
from vmcontroller.wire.chirp import ChirpError, Number, listed, reply
from vmcontroller_guest.chirp.served import ServedFiles

#: What statfs calls the file system; nobody asks for more.
_TYPE = 0


class Names:
    """Each ``verb_`` method answers one request; what it returns is said last."""

    def __init__(self, channel: Channel, files: ServedFiles) -> None:
        self._channel = channel
        self._files = files

    def verb_stat(self, path: str) -> bytes:
        return reply(0, self._files.stat(path).line())

    def verb_lstat(self, path: str) -> bytes:
        return reply(0, self._files.stat(path, follow=False).line())

    def verb_access(self, path: str, mode: int) -> bytes:
        if not self._files.accessible(path, mode):
            raise ChirpError(Number.NOT_AUTHORIZED)
        return reply(0)

    def verb_getdir(self, path: str) -> bytes:
        names = self._files.names(path)
        return reply(0, b"".join(listed(name) + b"\n" for name in names) + b"\n")

    def verb_getlongdir(self, path: str) -> bytes:
        entries = self._files.entries(path)
        return reply(0, b"".join(listed(name) + b"\n" + status.line() for name, status in entries) + b"\n")

    def verb_mkdir(self, path: str, mode: int) -> bytes:
        self._files.mkdir(path, mode)
        return reply(0)

    def verb_rmdir(self, path: str) -> bytes:
        self._files.rmdir(path)
        return reply(0)

    def verb_rmall(self, path: str) -> bytes:
        self._files.rmall(path)
        return reply(0)

    def verb_unlink(self, path: str) -> bytes:
        self._files.unlink(path)
        return reply(0)

    def verb_rename(self, path: str, new_path: str) -> bytes:
        self._files.rename(path, new_path)
        return reply(0)

    def verb_symlink(self, target: str, path: str) -> bytes:
        self._files.symlink(target, path)
        return reply(0)

    def verb_readlink(self, path: str, length: int) -> bytes:
        target = listed(self._files.readlink(path))[:length]
        return reply(len(target), target)

    def verb_chmod(self, path: str, mode: int) -> bytes:
        self._files.chmod(path, mode)
        return reply(0)

    def verb_truncate(self, path: str, size: int) -> bytes:
        self._files.truncate(path, size)
        return reply(0)

    def verb_utime(self, path: str, accessed: int, modified: int) -> bytes:
        self._files.utime(path, accessed, modified)
        return reply(0)

    def verb_statfs(self, path: str) -> bytes:
        self._files.stat(path)
        s = self._files.space()
        numbers = (_TYPE, s.f_frsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree)
        return reply(0, " ".join(map(str, numbers)).encode() + b"\n")
