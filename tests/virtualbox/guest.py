"""What the tests do to the test guest (guest.S): type, and look into its memory.

The memory is found in the process that runs the machine: VirtualBox has no call that reads it. Linux only.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

#: What the guest writes at the start of its mailbox again and again, but for the first octet, by which it is called.
_MARK = bytes((number * 37 + 11) % 256 for number in range(16))
_PROGRAM, _TEXT, _LENGTH = 16, 0x200, 0x400
_SCANCODES = {
    letter: code
    for first, row in ((0x10, "qwertyuiop"), (0x1E, "asdfghjkl"), (0x2C, "zxcvbnm"))
    for code, letter in enumerate(row, first)
} | {"\x1b": 0x01, "\t": 0x0F, "\r": 0x1C}


def manage(*words: str) -> str:
    """What VirtualBox's own command line tool says; Debian's script around it complains of the kernel module."""
    command = ["/usr/lib/virtualbox/VBoxManage", *words]
    for _ in range(5):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            break
        time.sleep(1)  # A service that is just ending takes nobody.
    assert done.returncode == 0, done.stderr
    return done.stdout


class Guest:
    """The test guest in the machine that this process runs."""

    def __init__(self, pid: int, title: str) -> None:
        self._pid = pid
        self._title = title

    def knock(self, patience: float = 60.0) -> None:
        """Wait until the guest runs and answers now, not only before."""
        end = time.monotonic() + patience
        while (place := self._find()) is None:
            assert time.monotonic() < end, "the guest does not boot"
            time.sleep(0.1)
        self._memory(place, write=b"\0")
        while self._memory(place)[0] != _MARK[0]:
            assert time.monotonic() < end, "the guest does not answer"
            time.sleep(0.05)

    def type(self, keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code = _SCANCODES[key]
            words = [f"{code:02x}", f"{code | 0x80:02x}"]
            manage("controlvm", self._title, "keyboardputscancode", *words)

    def program_runs(self) -> bool:
        """Whether the Tab key was pressed since the last boot."""
        return self._mailbox()[_PROGRAM] == 1

    def text(self) -> str:
        """The text as it is in memory: at boot the disk's, with a newline at its end when it was written there."""
        return self._mailbox()[_TEXT:].split(b"\0")[0].decode()

    def until_text(self, text: str, patience: float = 20.0) -> None:
        """Wait until the guest has this text."""
        end = time.monotonic() + patience
        while self.text() != text:
            assert time.monotonic() < end, f"the guest has {self.text()!r}, never {text!r}"
            time.sleep(0.05)

    def until_program(self, patience: float = 20.0) -> None:
        """Wait until the program runs."""
        end = time.monotonic() + patience
        while not self.program_runs():
            assert time.monotonic() < end, "the program never runs"
            time.sleep(0.05)

    def holds(self, octets: bytes) -> bool:
        """Whether this stands anywhere in the memory."""
        return any(octets in self._read(start, size) for start, size in self._regions())

    def _mailbox(self) -> bytes:
        place = self._find()
        assert place is not None, "the guest's memory is not to be found"
        return self._memory(place)

    def _find(self) -> int | None:
        """Where in the process's memory the mailbox lies."""
        for start, size in self._regions():
            found = self._read(start, size).find(_MARK[1:])
            if found > 0:
                return start + found - 1
        return None

    def _regions(self) -> Iterator[tuple[int, int]]:
        """Anonymous memory in pieces of whole 2 MiB, as VirtualBox takes it for guests."""
        for line in Path(f"/proc/{self._pid}/maps").read_text(encoding="ascii").splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*$", line)
            if match:
                start, end = (int(digits, 16) for digits in match.groups())
                yield start, end - start

    def _memory(self, place: int, write: bytes = b"") -> bytes:
        if write:
            with open(f"/proc/{self._pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(place)
                memory.write(write)
        return self._read(place, _LENGTH)

    def _read(self, start: int, size: int) -> bytes:
        """What stands there; nothing where that is gone by now."""
        try:
            with open(f"/proc/{self._pid}/mem", "rb", buffering=0) as memory:
                memory.seek(start)
                return memory.read(size)
        except OSError:
            return b""
