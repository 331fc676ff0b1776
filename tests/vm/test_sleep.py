"""The lid is closed while a guest computes: its machine and the daemon stand still, and time goes on without them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.loopback.house import House, wait_for
from tests.vm.guests import awaited, clock_is_right, counting, out, qemu
from vmcontroller.wakening import INTERVAL

#: Seconds of sleep. A daemon that cannot look for twice its interval knows that it slept.
NIGHT = 2 * INTERVAL + 1


@contextmanager
def asleep(*processes: psutil.Process) -> Iterator[None]:
    """They stand still."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_machine_stands_still(home: House) -> None:
    """Whoever asks meanwhile hears that nobody answers; afterwards the command has ended once, and right."""
    running = counting(home, "guest", 15)
    with asleep(qemu(home)):
        time.sleep(3)
        assert not home.call("waitForCmd", running, 0.1)["finished"]
    assert home.result(running)["out"].strip() == "15"
    assert clock_is_right(home)


def test_computer_sleeps(home: House) -> None:
    """The daemon wakes, and tells its guest what time it is: a machine's clock does not go on while it sleeps."""
    running = counting(home, "guest", 15)
    out(home, "date -s '2 hours ago'")
    assert not clock_is_right(home)
    with asleep(psutil.Process(home.address.pid), qemu(home)):
        time.sleep(NIGHT)
    awaited(home, "guest")
    wait_for(lambda: clock_is_right(home), "the guest's clock is wrong")
    assert home.result(running)["out"].strip() == "15"
