"""Carries a command's input from the spool on the host's disk to one guest."""

from __future__ import annotations

from collections.abc import Callable

from vmcontroller.outputs import STDIN, Outputs
from vmcontroller.wire.words import CHUNK, WINDOW, CmdStdin

Say = Callable[[CmdStdin], None]


class StdinPump:
    """One command's input to one guest: at most WINDOW octets under way, the rest follows what is confirmed."""

    def __init__(self, outputs: Outputs, cmd_id: str, say: Say) -> None:
        self._outputs = outputs
        self._cmd_id = cmd_id
        self._say = say
        self._confirmed = 0
        self._sent = 0
        self._eof_sent = False
        self.closed = False

    @property
    def idle(self) -> bool:
        """Everything that there is has been confirmed."""
        return self._confirmed >= self._length and (self._eof_confirmed or not self.closed)

    @property
    def _length(self) -> int:
        return self._outputs.length(self._cmd_id, "", STDIN)

    _eof_confirmed = False

    def confirmed(self, offset: int) -> None:
        """The guest has this much on its disk. A smaller offset than before asks for what lies between."""
        if offset < self._confirmed:
            self._sent = offset
        self._confirmed = offset
        self._sent = max(self._sent, offset)
        self._eof_confirmed = self._eof_sent and offset >= self._length
        self.pump()

    def rewind(self) -> None:
        """Say again all that is unconfirmed: it may have been lost."""
        self._sent, self._eof_sent = self._confirmed, False
        self.pump()

    def pump(self) -> None:
        """Say what there is, as far as the window allows."""
        length = self._length
        while self._sent < length and self._sent < self._confirmed + WINDOW:
            data = self._outputs.read(self._cmd_id, "", STDIN, self._sent, CHUNK)
            self._speak(data, self._sent + len(data) >= length)
        if self.closed and not self._eof_sent and self._sent >= length:
            self._speak(b"", True)

    def _speak(self, data: bytes, last: bool) -> None:
        eof = last and self.closed
        self._say(CmdStdin(self._cmd_id, self._sent, eof, data))
        self._sent += len(data)
        self._eof_sent = self._eof_sent or eof
