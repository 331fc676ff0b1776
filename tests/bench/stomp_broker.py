"""The embedded broker alone in a process: prints its port, serves until it is ended."""

from __future__ import annotations

from twisted.internet import reactor

from vmcontroller.broker import Broker


def main() -> None:
    """Serve on a free port of loopback."""
    broker = Broker(reactor)
    broker.allow("guest", "guest", read=["/topic/#", "/queue/#"], write=["/topic/#", "/queue/#"])
    port = reactor.listenTCP(0, broker.factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
