"""``vmwrapper`` and ``python -m wrapper``: runs the job in the current directory."""

import sys


def main() -> None:
    """The console script."""
    try:
        from wrapper import program  # noqa: PLC0415 — Ctrl-C may come before all of it is imported

        sys.exit(program.main())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
