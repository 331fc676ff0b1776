"""QEMU started by ourselves with the plugin's own command line, at the same priority: the floor under a machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.vm.place import MONITOR
from tests.bench.vm.talk import Talk, monitor

#: The plugin's monitor, which hangs on a descriptor that only QEMU has.
_THEIRS = ("socket,id=qmp,", "qmp,mode=control")
_MODESTLY = ("nice", "-n", "19", "ionice", "-c", "3")


class Qemu:
    """A QEMU; what its guest writes on the serial console can be read from ``process``."""

    def __init__(self, process: subprocess.Popen[bytes], talk: Talk) -> None:
        self.process = process
        self.talk = talk

    def heard(self, word: str) -> None:
        """Wait until the guest says a word."""
        assert self.process.stdout
        for line in self.process.stdout:
            if word in line.decode(errors="replace"):
                return
        raise AssertionError(f"QEMU has ended before its guest said {word!r}")

    def quit(self) -> None:
        """End it, and wait for that."""
        if self.process.poll() is None:
            self.talk.execute("quit")
        self.process.wait()


@contextmanager
def started(line: Sequence[str], folder: Path, handles: Sequence[int] = ()) -> Iterator[Qemu]:
    """Start a QEMU in a machine's directory; it is ended afterwards."""
    (folder / MONITOR).unlink(missing_ok=True)
    process = subprocess.Popen(
        (*_MODESTLY, *line),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=folder,
        pass_fds=handles,
        start_new_session=True,
    )
    try:
        _yield_to_other_sessions(process.pid)
        talk = monitor(folder / MONITOR)
        try:
            yield Qemu(process, talk)
        finally:
            talk.close()
    finally:
        process.kill()
        process.communicate()


def _yield_to_other_sessions(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/autogroup").write_text("19")
    except OSError:
        pass  # The kernel does not group by session.


def ours(line: Sequence[str]) -> list[str]:
    """A command line of the plugin without its monitor, and with the console where we can read it."""
    kept: list[str] = []
    for word in line:
        if word.startswith(_THEIRS):
            kept.pop()  # -chardev, -mon
        else:
            kept.append("stdio,id=console,signal=off" if word.startswith("ringbuf,id=console") else word)
    return kept
