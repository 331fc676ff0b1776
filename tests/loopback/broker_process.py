"""A broker of its own, in a process of its own, whose operator is a test: one rule a line of JSON on standard input.

``{"login", "passcode", "read", "write"}`` lets somebody in; without a passcode he is let in no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class BrokerProcess:
    """The broker, as its operator sees it."""

    def __init__(self, port: int = 0) -> None:
        command = [sys.executable, "-m", __name__, str(port)]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def rule(self, **rule: Any) -> None:
        """Make a rule; it holds when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(rule) + "\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def kill(self) -> None:
        """It is gone from one moment to the next."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def broker_process() -> Iterator[BrokerProcess]:
    """One that ends with the test."""
    broker = BrokerProcess()
    try:
        yield broker
    finally:
        broker.kill()


def main() -> None:
    """Be the broker."""
    from twisted.internet import reactor, stdio
    from twisted.protocols.basic import LineReceiver

    from vmcontroller.broker import Broker

    its_reactor: Any = reactor
    broker = Broker(its_reactor)

    class Operator(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            rule = json.loads(line)
            if "passcode" in rule:
                broker.allow(**rule)
            else:
                broker.forbid(**rule)
            print("done", flush=True)

        def connectionLost(self, reason: object = None) -> None:
            its_reactor.stop()

    stdio.StandardIO(Operator())
    port = its_reactor.listenTCP(int(sys.argv[1]), broker.factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    its_reactor.run()


if __name__ == "__main__":
    main()
