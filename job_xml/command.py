"""What the console script job-xml does: checks files, prints the reference page and the schema."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from job_xml import reference, schema
from job_xml.lint import lint
from job_xml.problems import Problem, Severity


def main(arguments: Sequence[str] | None = None) -> int:
    """0: no error. 1: errors, or with --strict warnings. 2: wrong usage."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(options.run(options))
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="job-xml", description="Work with the job.xml files of BOINC's wrappers.")
    verbs = parser.add_subparsers(required=True, metavar="lint | doc | schema")
    check = verbs.add_parser("lint", help="tell everything that is wrong with some files, and what to write instead")
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    check.set_defaults(run=_lint)
    verbs.add_parser("doc", help="print the reference of all elements").set_defaults(run=_doc)
    verbs.add_parser("schema", help="print the XML Schema, for editors").set_defaults(run=_schema)
    return parser


def _lint(options: argparse.Namespace) -> int:
    found = {file: lint(file) for file in options.files}
    problems = [problem for of_file in found.values() for problem in of_file]
    counts = {severity: sum(p.severity is severity for p in problems) for severity in Severity}
    if options.json:
        print(_as_json(found, counts))
    else:
        print(*problems, _summary(len(found), counts), sep="\n")
    bad = counts[Severity.ERROR] + (counts[Severity.WARNING] if options.strict else 0)
    return 1 if bad else 0


def _as_json(found: dict[str, tuple[Problem, ...]], counts: dict[Severity, int]) -> str:
    problems = [asdict(problem) for of_file in found.values() for problem in of_file]
    summary = {"files": len(found), **{f"{severity.value}s": count for severity, count in counts.items()}}
    return json.dumps({"problems": problems, "summary": summary}, indent=2)


def _summary(files: int, counts: dict[Severity, int]) -> str:
    parts = [_count(number, severity.value) for severity, number in counts.items()]
    return f"{_count(files, 'file')}: {', '.join(parts)}"


def _count(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"


def _doc(_: argparse.Namespace) -> int:
    print(reference.page(), end="")
    return 0


def _schema(_: argparse.Namespace) -> int:
    print(schema.document(), end="")
    return 0
