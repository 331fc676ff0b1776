"""How long a command is waited for, and what the operator is told meanwhile.

It asks the daemon what has become of the command while nothing else happens; it moves no output and sends no signal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from vmcontroller.cli import hindrances
from vmcontroller.cli.outcomes import Part, is_open
from vmcontroller.client import Client

#: Seconds after which it is said which VMs have not taken the command yet, or cannot go on with it.
SILENCE_SECONDS = 5.0
#: Seconds between two looks at what has changed since.
WATCH_SECONDS = 3.0
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
        self._watch_at = now + SILENCE_SECONDS
        self._tell_signal_at = math.inf
        self._signals = 0
        self._last = ""
        self._known: dict[str, str] | None = None

    def signalled(self, number: int) -> None:
        """A signal was sent on the operator's behalf. KeyboardInterrupt where nothing runs that could hear it."""
        self._signals += 1
        self._last = _NAMES.get(number, f"signal {number}")
        self._tell_signal_at = self._clock() + SIGNAL_SECONDS
        waiting = self._hindered(self._open_parts())
        if waiting and all(map(hindrances.is_deaf, waiting.values())):
            self._say(f"{self._last} is kept until it can be heard by {_listed(waiting)}")
            raise KeyboardInterrupt

    def look(self) -> None:
        """Say what there is to say by now, each thing once."""
        now = self._clock()
        if now >= self._watch_at:
            self._watch_at = now + WATCH_SECONDS
            self._tell_changes()
        if now >= self._tell_signal_at:
            self._tell_signal_at = math.inf
            self._tell_signalled()

    def is_over(self) -> bool:
        """The time is up, and no VM that still runs the command is about to end it."""
        now = self._clock()
        if now < self._deadline:
            return False
        open_parts = self._open_parts().values()
        ending = any(part["state"] == "accepted" and part["alive"] for part in open_parts)
        return bool(open_parts) and (now >= self._deadline + END_SECONDS or not ending)

    def _open_parts(self) -> dict[str, Part]:
        parts: Mapping[str, Part] = self._api.call("getCmdDetails", self._cmd_id)["parts"]
        return {vm: part for vm, part in sorted(parts.items()) if is_open(part)}

    def _hindered(self, parts: Mapping[str, Part]) -> dict[str, str]:
        """What keeps each VM from going on with the command, or ""."""
        if not parts:
            return {}
        states = self._api.call("listVMsWithState")
        return {vm: hindrances.of(part, states.get(vm, hindrances.REMOVED)) for vm, part in parts.items()}

    def _tell_changes(self) -> None:
        parts = self._open_parts()
        hindered = self._hindered(parts)
        if self._known is None:
            silent = {vm: hindered[vm] for vm, part in parts.items() if part["state"] == "sent"}
            self._tell_silent(silent)
            self._known = silent
        for vm, hindrance in hindered.items():
            if hindrance != self._known.get(vm, ""):
                self._say(hindrances.sentence(vm, hindrance))
        self._known = hindered

    def _tell_silent(self, silent: Mapping[str, str]) -> None:
        if silent:
            self._say(f"has not answered yet: {_listed(silent)}")

    def _tell_signalled(self) -> None:
        waiting = self._hindered(self._open_parts())
        if waiting:
            next_time = _NEXT.get(self._signals, _NEXT[2])
            self._say(f"{self._last} was sent; waiting for {_listed(waiting)}; {next_time}")


def _listed(hindered: Mapping[str, str]) -> str:
    """The VMs' names, each with what keeps it from answering."""
    return ", ".join(f"{vm} ({hindrance})" if hindrance else vm for vm, hindrance in hindered.items())
