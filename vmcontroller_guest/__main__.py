"""The command line of the guest agent. The only place that imports the reactor."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the agent until SIGTERM; exit code 0. What keeps it from starting is one sentence, and exit code 1."""
    # Twisted imports OpenSSL wherever it is installed. The agent speaks no TLS, and small guests have little memory.
    sys.modules.setdefault("OpenSSL", None)  # type: ignore[arg-type]
    from twisted.internet import reactor  # noqa: PLC0415

    from vmcontroller_guest.daemon import run  # noqa: PLC0415

    run(reactor, sys.argv[1:])


if __name__ == "__main__":
    main()
