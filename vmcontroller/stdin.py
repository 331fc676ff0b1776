"""Carries a command's input from the spool on the host's disk to one guest."""

from __future__ import annotations

from collections.abc import Callable

from vmcontroller.outputs import STDIN, Outputs
from vmcontroller.wire.words import CHUNK, WINDOW, CmdStdin


class StdinPump:
    """One command's input to one guest: at most WINDOW octets under way, the rest follows what is confirmed.

    ``closed`` is set when nothing will follow what is in the spool.
    """

    def __init__(self, outputs: Outputs, cmd_id: str, say: Callable[[CmdStdin], None]) -> None:
        self._outputs = outputs
        self._cmd_id = cmd_id
        self._say = say
        self._confirmed = 0
        self._sent = 0
        self._eof_sent = False
        self.closed = False

    @property
    def idle(self) -> bool:
        """Nothing needs saying again. End-of-file has no confirmation of its own: it is said until the command ends."""
        return not self.unconfirmed and not self.closed

    @property
    def unconfirmed(self) -> int:
        """Octets in the spool that the program's pipe has not taken."""
        return max(0, self._length - self._confirmed)

    @property
    def _length(self) -> int:
        return self._outputs.length(self._cmd_id, "", STDIN)

    def confirmed(self, offset: int) -> None:
        """The program's pipe has taken this much."""
        if offset > self._confirmed:
            self._confirmed = offset
            self._sent = max(self._sent, offset)
            self.pump()

    def pump(self) -> None:
        """Say what there is, as far as the window allows."""
        while self._sent < min(self._length, self._confirmed + WINDOW):
            self._speak()
        if self.closed and not self._eof_sent and self._sent >= self._length:
            self._speak()

    def probe(self) -> None:
        """No confirmation came for long: say the first unconfirmed chunk again. The program may just not read."""
        self._sent, self._eof_sent = self._confirmed, False
        if self._sent < self._length or self.closed:
            self._speak()

    def _speak(self) -> None:
        data = self._outputs.read(self._cmd_id, "", STDIN, self._sent, CHUNK)
        eof = self.closed and self._sent + len(data) >= self._length
        self._say(CmdStdin(self._cmd_id, self._sent, eof, data))
        self._sent += len(data)
        self._eof_sent = self._eof_sent or eof
