"""The line that shows how far a transfer is. It computes and formats; it draws nothing."""

from __future__ import annotations

from collections import deque

from vmcontroller.cli.render import duration, size

#: The rate is that of the last so many seconds.
WINDOW_SECONDS = 5.0
BAR = 24


class Progress:
    """Takes what was moved when, in octets and in seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def line(self, name: str, now: float, done: int, total: int, width: int) -> str:
        """Name, bar, share, octets, rate and the time that is left, cut to ``width`` characters."""
        self._note(now, done)
        share = min(1.0, done / total) if total else 0.0
        bar = "#" * round(share * BAR)
        rate = self.rate
        left = f"  {duration((total - done) / rate)} left" if rate and total > done else ""
        figures = f"[{bar:<{BAR}}] {share:4.0%}  {size(done)} of {size(total)}  {size(rate)}/s{left}"
        room = width - len(figures) - 3
        return f"{_shorten(name, room)}  {figures}" if room >= 8 else figures[: max(0, width - 1)]

    def _note(self, now: float, done: int) -> None:
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Octets a second, 0 while nothing can be said."""
        (begun, had), (now, has) = self._seen[0], self._seen[-1]
        return (has - had) / (now - begun) if now > begun else 0.0


def _shorten(name: str, room: int) -> str:
    return name if len(name) <= room else "..." + name[3 - room :]
