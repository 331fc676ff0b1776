"""Where a file that the stock wrapper reads is no XML, or is other XML: what every other tool and editor trips over.

lxml is the judge of what XML is. It decides nothing here: what the file means, the stock rules alone say.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from job_xml.problems import Problems, shown
from job_xml.stock import LONG_ROOM, Kind, Scanner

_NUMERIC_REFERENCE = re.compile(rb"&#([^;]{0,12})")
_AMPERSAND = "write &amp; for the character &"
_CLOSE = "close each element with its own name, the inner one first"
_REMEDIES = {
    "ERR_UNDECLARED_ENTITY": _AMPERSAND,
    "WAR_UNDECLARED_ENTITY": _AMPERSAND,
    "ERR_TAG_NAME_MISMATCH": _CLOSE,
    "ERR_TAG_NOT_FINISHED": _CLOSE,
    "ERR_DOCUMENT_END": "take away what follows </job_desc>",
    "ERR_INVALID_CHAR": "take the control character away",
    "ERR_INVALID_ENCODING": "save the file as UTF-8",
    "ERR_HYPHEN_IN_COMMENT": "write no -- inside a comment",
}
_MEND = "mend it, or XML tools and editors refuse the file"


class _Nothing:
    """Takes what the parser finds and builds no tree of it: a hostile file costs no memory."""

    def close(self) -> None:
        return None


def check(data: bytes, problems: Problems) -> None:
    """Report each line that is not well-formed, and each reference that means something else to the stock wrapper.

    A line that something was found wrong with before is not mentioned again.
    """
    known = problems.lines()
    for line, kind, message in _complaints(data):
        if line not in known:
            problems.error(line, f"this is not well-formed XML ({message})", _remedy(kind, message))
    _misread_references(data, problems)


def _complaints(data: bytes) -> list[tuple[int, str, str]]:
    target: Any = _Nothing()
    parser = etree.XMLParser(
        target=target, recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        pass  # the error log has it
    log: Any = parser.error_log
    return [(entry.line, entry.type_name, entry.message.strip()) for entry in log]


def _remedy(kind: str, message: str) -> str:
    return _AMPERSAND if "EntityRef" in message else _REMEDIES.get(kind, _MEND)


def _misread_references(data: bytes, problems: Problems) -> None:
    scanner = Scanner(data if b"&#" in data else b"")
    while token := scanner.get(LONG_ROOM):
        if token.kind is Kind.TEXT and b"&#" in token.text:
            _look_at_references(token.text, token.line, problems)


def _look_at_references(text: bytes, line: int, problems: Problems) -> None:
    for found in _NUMERIC_REFERENCE.finditer(text):
        if not found[1].isdigit() or not 0 < int(found[1]) < 128:
            reference = shown(found[0].decode("ascii", "replace") + ";")
            what = f"the stock wrapper makes another character of {reference} than XML says"
            problems.error(line + text.count(b"\n", 0, found.start()), what, "write the character itself, in UTF-8")
