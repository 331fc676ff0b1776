"""``vmcontroller`` and ``python -m vmcontroller``: the operator's command line, which is also the daemon's."""

import sys


def main() -> None:
    """The console script."""
    try:
        from vmcontroller import cli  # noqa: PLC0415 — Ctrl-C may come before all of it is imported

        sys.exit(cli.main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
