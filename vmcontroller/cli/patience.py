"""How long a command is waited for, and what the operator is told meanwhile.

It asks the daemon what has become of the command while nothing else happens; it moves no output and sends no signal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from vmcontroller.cli.outcomes import Part, is_open
from vmcontroller.client import ApiFault, Client
from vmcontroller.errors import UnknownVM

#: Seconds after which it is said which VMs have not taken the command yet.
SILENCE_SECONDS = 5.0
#: Seconds that a command may take to end after a signal before it is said what is waited for.
SIGNAL_SECONDS = 1.0
#: Seconds that a VM which answers has for ending a command whose time is up: it asks first, and kills later.
END_SECONDS = 10.0

_NAMES = {2: "SIGINT", 15: "SIGTERM", 1: "SIGHUP", 9: "SIGKILL"}
#: What the next Ctrl-C does, after so many signals.
_NEXT = {1: "Ctrl-C again kills the command, once more leaves it", 2: "Ctrl-C again leaves it"}


class Patience:
    """The wait for one command; ``timeout`` is in seconds (0: no end), ``say`` tells the operator a sentence."""

    def __init__(
        self,
        api: Client,
        cmd_id: str,
        say: Callable[[str], None],
        timeout: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        now = clock()
        self._clock = clock
        self._api = api
        self._cmd_id = cmd_id
        self._say = say
        self._deadline = now + timeout if timeout else math.inf
        self._tell_silent_at = now + SILENCE_SECONDS
        self._tell_signal_at = math.inf
        self._signals = 0
        self._last = ""

    def signalled(self, number: int) -> None:
        """A signal was sent on the operator's behalf."""
        self._signals += 1
        self._last = _NAMES.get(number, f"signal {number}")
        self._tell_signal_at = self._clock() + SIGNAL_SECONDS

    def look(self) -> None:
        """Say what there is to say by now, each thing once."""
        now = self._clock()
        if now >= self._tell_silent_at:
            self._tell_silent_at = math.inf
            self._tell_silent()
        if now >= self._tell_signal_at:
            self._tell_signal_at = math.inf
            self._tell_signalled()

    def is_over(self) -> bool:
        """The time is up, and no VM that still runs the command is about to end it."""
        now = self._clock()
        if now < self._deadline:
            return False
        open_parts = [part for part in self._parts().values() if is_open(part)]
        ending = any(part["state"] == "accepted" and part["alive"] for part in open_parts)
        return bool(open_parts) and (now >= self._deadline + END_SECONDS or not ending)

    def _parts(self) -> dict[str, Part]:
        return dict(self._api.call("getCmdDetails", self._cmd_id)["parts"])

    def _tell_silent(self) -> None:
        silent = [vm for vm, part in self._parts().items() if part["state"] == "sent"]
        if silent:
            self._say(f"has not answered yet: {self._listed(silent)}")

    def _tell_signalled(self) -> None:
        waiting = [vm for vm, part in self._parts().items() if is_open(part)]
        if waiting:
            next_time = _NEXT.get(self._signals, _NEXT[2])
            self._say(f"{self._last} was sent; waiting for {self._listed(waiting)}; {next_time}")

    def _listed(self, vms: Iterable[str]) -> str:
        """Their names, each with what keeps it from answering."""
        return ", ".join(vm + self._hindrance(vm) for vm in sorted(vms))

    def _hindrance(self, vm: str) -> str:
        try:
            told = self._api.call("getVM", vm)
        except ApiFault as fault:
            if fault.code != UnknownVM.code:
                raise
            return " (removed)"
        if told["state"] != "Running":
            return f" ({told['state']})"
        return "" if told["alive"] else " (its agent is silent)"
