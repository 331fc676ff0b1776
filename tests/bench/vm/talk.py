"""A conversation in lines of JSON over a Unix socket: QMP with QEMU, and the same with qemu-guest-agent."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

#: Seconds that an answer may take.
PATIENCE = 60.0


class Talk:
    """Each command waits for its answer; greetings and events are passed over."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")

    def execute(self, command: str, descriptor: int | None = None, /, **arguments: Any) -> Any:
        """The answer. ``descriptor`` is a file that goes along; an underscore in a name stands for a dash."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        line = json.dumps({"execute": command, "arguments": named}).encode() + b"\n"
        socket.send_fds(self._socket, [line], [] if descriptor is None else [descriptor])
        while True:
            answer = json.loads(self._lines.readline().lstrip(b"\xff"))
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def monitor(path: Path) -> Talk:
    """A conversation with QEMU, once it listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            talk = Talk(path)
        except OSError:
            assert time.monotonic() < deadline, "QEMU does not listen"
            time.sleep(0.002)
        else:
            talk.execute("qmp_capabilities")
            return talk
