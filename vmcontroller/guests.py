"""Who is alive: when each guest was last heard, and what it said of itself. Pure: the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmcontroller.wire.words import Hello, StillAlive


@dataclass
class Guest:
    """One guest since it joined. ``last_heard`` is in seconds of the host's monotonic clock."""

    hello: Hello
    last_heard: float
    beacon: StillAlive = field(default_factory=StillAlive)
    warned: bool = False


@dataclass
class Guests:
    """The guests that are alive. ``grace`` is in seconds."""

    grace: float
    _alive: dict[str, Guest] = field(default_factory=dict)

    def joined(self, vm: str, hello: Hello, now: float) -> None:
        """A guest has confirmed its session."""
        self._alive[vm] = Guest(hello, now)

    def heard(self, vm: str, now: float, beacon: StillAlive | None = None) -> bool:
        """A word came from this guest. False: it is not among the living, ask it for HELLO."""
        guest = self._alive.get(vm)
        if guest is None:
            return False
        guest.last_heard, guest.warned = now, False
        if beacon is not None:
            guest.beacon = beacon
        return True

    def left(self, vm: str) -> None:
        """A guest said BYE, was dropped, or its VM was stopped."""
        self._alive.pop(vm, None)

    def get(self, vm: str) -> Guest | None:
        """The guest, if it is alive."""
        return self._alive.get(vm)

    def alive(self) -> list[str]:
        """The ids of all that are alive."""
        return list(self._alive)

    def any_late(self, now: float) -> bool:
        """Whether any has been silent for longer than ``grace``."""
        return any(now - guest.last_heard > self.grace for guest in self._alive.values())

    def silent(self, now: float) -> tuple[list[str], list[str]]:
        """Those to warn of (once), after ``grace``, and those to drop, after 1.5 times as long (2009's rule)."""
        late = {vm: now - guest.last_heard for vm, guest in self._alive.items()}
        drop = [vm for vm, seconds in late.items() if seconds > 1.5 * self.grace]
        warn = [vm for vm, s in late.items() if s > self.grace and vm not in drop and not self._alive[vm].warned]
        for vm in warn:
            self._alive[vm].warned = True
        return warn, drop
