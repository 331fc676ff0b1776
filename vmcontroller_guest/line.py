"""The line to the host: what may be said on it now."""

from __future__ import annotations

from collections.abc import Callable

from vmcontroller.wire.words import Word


class Line:
    """``connected``: words can be said. ``joined``: the host has proven itself in this session. ``held``: the
    network has more than it can carry, so nothing large should be added."""

    def __init__(self, say: Callable[[Word], None]) -> None:
        self._say = say
        self.connected = False
        self.joined = False
        self.held = False

    @property
    def free(self) -> bool:
        """Output and results may be said."""
        return self.joined and not self.held

    def say(self, word: Word) -> None:
        """Say a word, or drop it when nobody can hear it: whatever matters is repeated."""
        if self.connected:
            self._say(word)
