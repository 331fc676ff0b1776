"""``vmcontroller`` and ``python -m vmcontroller``: the operator's command line, which is also the daemon's."""

import sys

from vmcontroller import cli


def main() -> None:
    """The console script."""
    sys.exit(cli.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
