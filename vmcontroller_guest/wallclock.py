"""Sets the machine's clock: after a pause or a restore it is wrong for ever, and only the host knows better."""

from __future__ import annotations

import time

from twisted.logger import Logger

#: Seconds that the clock may be wrong: a word's way to the guest takes time, too.
_TOLERANCE = 1.0

_log = Logger()


def set_clock(seconds: float) -> None:
    """Set it to seconds since the epoch. Where that is not allowed, it stays as it is, and the log tells."""
    wrong_by = seconds - time.time()
    if abs(wrong_by) < _TOLERANCE:
        return
    try:
        time.clock_settime(time.CLOCK_REALTIME, seconds)
    except (OSError, AttributeError, OverflowError, ValueError) as error:
        _log.warn("the clock is wrong by {wrong:.1f} s and cannot be set: {error}", wrong=wrong_by, error=error)
    else:
        _log.info("the clock was wrong by {wrong:.1f} s", wrong=wrong_by)
