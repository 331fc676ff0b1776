"""Between daemon and guest everything breaks: the connection, the daemon with its broker, a broker of its own.

Each time one command waits behind a gate and another one prints: the first ends once, the second's output is whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.loopback.broker_process import BrokerProcess, broker_process
from tests.loopback.house import House, wait_for
from tests.loopback.test_external_broker import admit_daemon, admit_guests, url
from tests.vm.cutting import cut
from tests.vm.guests import PATIENCE, awaited, gated, goes_on, qemu

STEPS, STEP = 25, 5000
PRINTER = "i=0; while [ $i -lt {steps} ]; do seq $((i*{step})) $((i*{step}+{step}-1)); i=$((i+1)); sleep 0.1; done"
PRINTED = "".join(f"{number}\n" for number in range(STEPS * STEP))


class Busy:
    """A guest with two commands: one that waits, and one that is in the middle of its output."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.waiting = gated(home, "go", 3)
        self.printing = home.run("guest", "/bin/sh", "-c", PRINTER.format(steps=STEPS, step=STEP))
        self.grows()

    def printed(self) -> int:
        """How many octets have come."""
        return int(self.home.call("getCmdDetails", self.printing)["parts"]["guest"]["out"])

    def grows(self) -> None:
        """Wait until more of the output comes."""
        before = self.printed()
        wait_for(lambda: self.printed() > before, "no output comes", PATIENCE)

    def end_well(self) -> None:
        """Nothing is lost or doubled."""
        result = self.home.result(self.printing, PATIENCE)
        assert (result["outcome"], result["exitCodeOrSignal"]) == ("exited", 0)
        assert result["out"] == PRINTED
        goes_on(self.home, self.waiting, "go", 3)


@pytest.fixture
def busy(home: House) -> Busy:
    return Busy(home)


def test_connection_reset(home: House, busy: Busy) -> None:
    """Three times in the middle of the output."""
    daemon = psutil.Process(home.address.pid)
    for _ in range(3):
        try:
            assert cut(daemon, qemu(home)) == 1
        except OSError as error:
            pytest.skip(f"this machine lets nobody cut another process's connection: {error}")
        busy.grows()
    busy.end_well()


def test_daemon_killed(home: House, busy: Busy) -> None:
    """kill -9 of the daemon, and of the broker in it: the next one finds the machine running."""
    process = qemu(home)
    home.kill_daemon()
    home.restart()
    assert home.call("getState", "guest") == "Running"
    busy.end_well()
    assert qemu(home) == process


@pytest.fixture
def broker(home: House) -> Iterator[BrokerProcess]:
    """The daemon changes over to a broker of its own process, and back."""
    arguments = home.arguments
    with broker_process() as broker:
        admit_daemon(broker)
        change(home, (*arguments, *url(broker.port)))
        admit_guests(broker, home)
        awaited(home, "guest")
        yield broker
        change(home, arguments)
    awaited(home, "guest")


def change(home: House, arguments: tuple[str, ...]) -> None:
    """Another daemon, called in another way."""
    home.kill_daemon()
    home.arguments = arguments
    home.restart()


def test_broker_killed(home: House, broker: BrokerProcess, busy: Busy) -> None:
    """kill -9 of a broker of its own; what is asked while there is none is done when there is one again."""
    broker.kill()
    asked = home.run("guest", "echo", "asked")
    again = BrokerProcess(broker.port)
    try:
        admit_daemon(again)
        admit_guests(again, home)
        assert home.result(asked, PATIENCE)["out"] == "asked\n"
        busy.end_well()
    finally:
        again.kill()
