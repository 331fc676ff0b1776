"""``job-xml`` and ``python -m job_xml``: checks files, prints the reference page and the schema."""

import sys


def main() -> None:
    """The console script."""
    try:
        from job_xml import command  # noqa: PLC0415 — Ctrl-C may come before all of it is imported

        sys.exit(command.main())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
