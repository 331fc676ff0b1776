"""What two STOMP sides agree on when they connect: the version and the heart-beats.

Times are seconds of whichever monotonic clock the caller reads; no clock is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from vmcontroller.wire.stomp import ProtocolError, Version

_HEART_BEAT = re.compile(r"([0-9]{1,9}),([0-9]{1,9})\Z")


def negotiate(versions: str | None) -> Version:
    """The highest version that both sides speak, from the value of ``accept-version`` or ``version``.

    A side that does not say speaks 1.0. ProtocolError when there is none in common.
    """
    if versions is None:
        return Version.V1_0
    common = set(versions.replace(" ", "").split(",")) & set(Version)
    if not common:
        raise ProtocolError(f"STOMP {versions!r} is not spoken here; {', '.join(Version)} are")
    return Version(max(common))


@dataclass(frozen=True)
class HeartBeats:
    """One side's offer, in seconds: it can send this often, and would like to hear this often; 0 is never."""

    can: float = 0.0
    wants: float = 0.0

    @classmethod
    def parse(cls, header: str | None) -> Self:
        """From the value of the header ``heart-beat``, two numbers of milliseconds; ProtocolError."""
        match = _HEART_BEAT.match("0,0" if header is None else header)
        if match is None:
            raise ProtocolError(f"heart-beat is {header!r}; it must be two numbers of milliseconds with a comma")
        return cls(int(match[1]) / 1000, int(match[2]) / 1000)

    def __str__(self) -> str:
        return f"{round(self.can * 1000)},{round(self.wants * 1000)}"


class Pulse:
    """The heart-beats of one connection: when this side must speak, and when the other counts as gone.

    A beat is due after half the agreed interval, so that one delayed beat is no silence; the other side is
    silent after twice its own.
    """

    def __init__(self, mine: HeartBeats, theirs: HeartBeats, now: float) -> None:
        self.send = max(mine.can, theirs.wants) if mine.can and theirs.wants else 0.0
        self.expect = max(theirs.can, mine.wants) if theirs.can and mine.wants else 0.0
        self._spoken = self._heard = now

    def heard(self, now: float) -> None:
        """Octets arrived: any octet is as good as a heart-beat."""
        self._heard = now

    def spoken(self, now: float) -> None:
        """A beat was sent."""
        self._spoken = now

    def due(self, now: float) -> bool:
        """Whether this side must send a beat now."""
        return bool(self.send) and now >= self._spoken + self.send / 2

    def silent(self, now: float) -> bool:
        """Whether the other side counts as gone."""
        return bool(self.expect) and now >= self._heard + 2 * self.expect

    def wait(self, now: float) -> float | None:
        """Seconds until ``due`` or ``silent`` can become true; None when neither ever can."""
        moments = [self._spoken + self.send / 2] if self.send else []
        moments += [self._heard + 2 * self.expect] if self.expect else []
        return max(0.0, min(moments) - now) if moments else None
