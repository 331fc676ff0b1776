"""How far a transfer is."""

from __future__ import annotations

from collections.abc import Callable

#: Is given the octets done, the octets in total, and the current file's name.
Listener = Callable[[int, int, str], None]


class Meter:
    """Counts octets. ``total`` is known before the first one moves."""

    def __init__(self, listener: Listener = lambda done, total, name: None) -> None:
        self._listener = listener
        self.total = 0
        self.done = 0
        self.name = ""

    def expect(self, total: int) -> None:
        """So many octets are to be moved."""
        self.total = total

    def moved(self, name: str, octets: int) -> None:
        """So many octets of this file have moved."""
        self.done += octets
        self.name = name
        self._listener(self.done, self.total, name)

    def taker(self, name: str) -> Callable[[memoryview], None]:
        """Counts what passes by as octets of this file."""
        return lambda octets: self.moved(name, len(octets))
