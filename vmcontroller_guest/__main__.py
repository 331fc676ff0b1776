"""The command line of the guest agent. The only place that imports the reactor."""

import sys


def main() -> None:
    """Run the agent until SIGTERM; exit code 0. What keeps it from starting is one sentence, and exit code 1."""
    try:
        _run()
    except KeyboardInterrupt:  # before the reactor runs; from then on it ends as for SIGTERM
        sys.exit(130)


def _run() -> None:
    if sys.argv[1:] == ["--install"]:
        from vmcontroller_guest import install  # noqa: PLC0415

        return install.main()
    # What Twisted imports wherever it is installed: the agent speaks no TLS, and small guests have little memory.
    for name in ("OpenSSL", "ssl"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    from twisted.internet import reactor  # noqa: PLC0415

    from vmcontroller_guest.daemon import run  # noqa: PLC0415

    run(reactor, sys.argv[1:])


if __name__ == "__main__":
    main()
