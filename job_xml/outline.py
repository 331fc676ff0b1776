"""A job.xml's elements as the stock wrapper comes upon them: which, where, with what value. Not yet what they mean.

The order of things is that of parse_job_file and TASK::parse: nesting is not looked at, an unknown tag is passed over
while what it holds is not, and a task ends at the next </task>, wherever that stands.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from job_xml.content import Ignored, Value, read, text
from job_xml.elements import GROUPS, JOB, Element
from job_xml.problems import Problems, shown
from job_xml.stock import End, Kind, Scanner, Token

_INSTEAD = {
    "is_daemon": "write <daemon/>",
    "passthrough": "write <append_cmdline_args/>, and give the wrapper --passthrough_child",
    "copy_files_to_VM": "write one <copy_file_to_VM> for each file",
    "copy_files_from_VM": "write one <copy_file_from_VM> for each file",
}
_NOTHING_LIKE_IT = "take it away, or see docs/reference/job-xml.md for what there is"
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: What was read of these counts, closed or not; of a task it does not.
_COUNT_UNCLOSED = ("unzip_input", "zip_output")


@dataclass(frozen=True)
class Entry:
    """One element that was understood, and the line that it starts on."""

    element: Element
    value: Value
    line: int


@dataclass
class Block:
    """A group as it stands in the file: the entries that were understood, in order.

    ``misspelt`` has the unknown tags that look like an element that there is, by the name of that element.
    """

    name: str
    line: int
    closed: bool = False
    entries: list[Entry] = field(default_factory=list)
    misspelt: dict[str, Token] = field(default_factory=dict)

    def every(self, name: str) -> list[Entry]:
        """All entries of one name."""
        return [entry for entry in self.entries if entry.element.name == name]

    def last(self, name: str) -> Entry | None:
        """Of an element that should come once, the one that counts."""
        found = self.every(name)
        return found[-1] if found else None


@dataclass
class Outline:
    """All of job_desc. ``misspelt`` is as in a Block."""

    blocks: list[Block] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    misspelt: dict[str, Token] = field(default_factory=dict)
    name: str = "job_desc"

    def every(self, *names: str) -> list[Block]:
        """All blocks of these names, in the order of the file."""
        return [block for block in self.blocks if block.name in names]


def fields_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """The entries as the fields that they are meant for: the last one counts, or all of them where it may repeat."""
    found: dict[str, Any] = {}
    for entry in entries:
        name = entry.element.field
        found[name] = (*found.get(name, ()), entry.value) if entry.element.repeats else entry.value
    return found


def outline(data: bytes, problems: Problems) -> Outline | None:
    """The outline of a file as far as the stock wrapper reads it; None when it does not start as a job.xml does.

    ``problems`` hears of everything on the way, also of what ends the job.
    """
    reader = _Reader(data, problems)
    return reader.job() if reader.started() else None


class _Reader:
    def __init__(self, data: bytes, problems: Problems) -> None:
        self._data = data
        self._scanner = Scanner(data)
        self._problems = problems
        self._unfinished: Counter[str] = Counter()
        self._text_is_told = False
        self._lost_group: tuple[str, Mapping[str, Element]] = ("", {})

    # -- the document

    def started(self) -> bool:
        token = self._scanner.get()
        if token and token.kind is Kind.TAG and "?xml" in token.name:
            token = self._scanner.get()
        if token and token.kind is Kind.TAG and token.name == "job_desc":
            self._look_at_attributes(token)
            return True
        self._problems.refuse(token.line if token else 1, *self._wrong_start(token))
        return False

    def _wrong_start(self, token: Token | None) -> tuple[str, str]:
        """What is wrong, and the remedy."""
        first = "write <job_desc> first, and the tasks in it"
        if not self._data.strip():
            return "the file is empty", first
        if self._data.startswith(_BYTE_ORDER_MARKS):
            return "a byte order mark stands at the start", "save the file as UTF-8 without one"
        if b"<" not in self._data and b"\0" not in self._data:
            return f"the file starts with {shown(text(self._data.strip()))}, not with <job_desc>", first
        if token is None:
            return f"there is no <job_desc> before {self._why_ended()}", first
        if token.kind is not Kind.TAG:
            return f"the file starts with {shown(text(token.text))}, not with <job_desc>", first
        if token.name.startswith("!"):
            return f"{_titled(token)} declares a document type, which may declare entities", "take it away"
        if token.name.strip("/") == "job_desc":
            return "<job_desc> is empty or has an attribute with a slash in it", "write it without, and tasks in it"
        return f"the first element is <{shown(token.name)[1:-1]}>, not <job_desc>", first

    def _why_ended(self) -> str:
        return (self._scanner.ended or End.FILE).value

    def job(self) -> Outline:
        found = Outline()
        unclosed = ""
        while token := self._next():
            if token.kind is not Kind.TAG:
                self._unexpected_text(token, "job_desc")
            elif token.name == "/job_desc":
                self._look_for_doubles(found.entries)
                return found
            elif token.name in GROUPS:
                block = self._block(token)
                unclosed = "" if block.closed else f", in the <{token.name}> of line {token.line}"
                found.blocks += [block] if block.closed or token.name in _COUNT_UNCLOSED else []
            else:
                self._entry(token, JOB, found)
        what = f"{self._why_ended()} before </job_desc>{unclosed}"
        self._problems.refuse(self._scanner.line, what, "close what is open, <job_desc> last")
        return found

    def _block(self, start: Token) -> Block:
        self._look_at_attributes(start)
        block = Block(start.name, start.line)
        while token := self._next():
            if token.kind is not Kind.TAG:
                self._unexpected_text(token, block.name)
            elif token.name == f"/{block.name}":
                block.closed = True
                self._look_for_doubles(block.entries)
                return block
            else:
                self._entry(token, GROUPS[block.name].members, block)
        lost = "" if block.name in _COUNT_UNCLOSED else ", and it is left out"
        what = f"<{block.name}> has no end: {self._why_ended()} before </{block.name}>{lost}"
        self._problems.error(block.line, what, f"close it with </{block.name}>, and shorten what is too long")
        return block

    def _next(self) -> Token | None:
        """The next token. What an unknown element holds was told with it."""
        token = self._scanner.get()
        while token and token.kind is not Kind.TAG and self._text_is_told:
            token = self._scanner.get()
        self._text_is_told = False
        return token

    # -- one element

    def _entry(self, token: Token, known: Mapping[str, Element], into: Block | Outline) -> None:
        element = known.get(token.name.removesuffix("/"))
        if element is None:
            self._unknown(token, known, into)
            return
        self._look_at_attributes(token)
        try:
            into.entries.append(Entry(element, read(self._scanner, element, token), token.line))
        except Ignored as reason:
            self._not_understood(element, token, reason)

    def _not_understood(self, element: Element, token: Token, reason: Ignored) -> None:
        remedy = reason.remedy or f"write {element.expected()}"
        if element.of_vm:
            self._problems.refuse(token.line, f"<{element.name}> {reason}", remedy)
        else:
            self._problems.error(token.line, f"<{element.name}> {reason}, and is ignored", remedy)
        self._unfinished[element.name] += 1

    def _unknown(self, token: Token, known: Mapping[str, Element], into: Block | Outline) -> None:
        name = token.name
        if name.startswith("/"):
            self._end_of_unknown(token, into.name)
            return
        bare = name.rstrip("/")
        if name in GROUPS:
            what = f"<{name}> stands in a <{into.name}>"
            self._problems.error(token.line, what, f"write </{into.name}> before it")
        elif bare in known or bare in GROUPS:
            what = f"<{bare}> is ignored: it is empty or has an attribute with a slash in it"
            self._problems.error(token.line, what, f"write <{bare}> plainly")
        elif bare not in self._lost_group[1]:
            self._no_element(token, (*known, *GROUPS), into)
        if not name.endswith("/"):
            self._unfinished[name] += 1
            self._text_is_told = True

    def _no_element(self, token: Token, known: Iterable[str], into: Block | Outline) -> None:
        name = token.name.rstrip("/")
        what = f"{_titled(token)} is no element of <{into.name}>, and is ignored"
        meant = "" if self._problems.full or name in _INSTEAD else _nearest(name, known)
        if meant:
            into.misspelt.setdefault(meant, token)
        if meant in GROUPS and token.name == name:
            self._lost_group = (name, GROUPS[meant].members)
        remedy = _INSTEAD.get(name) or (did_you_mean(meant) if meant else _elsewhere(name))
        self._problems.error(token.line, what, remedy)

    def _end_of_unknown(self, token: Token, where: str) -> None:
        name = token.name.removeprefix("/")
        if name == self._lost_group[0]:
            self._lost_group = ("", {})
        if self._unfinished[name]:
            self._unfinished[name] -= 1
        elif name == "job_desc":
            self._problems.error(token.line, f"</job_desc> stands in a <{where}>", f"write </{where}> before it")
        else:
            self._problems.error(token.line, f"</{shown(name)[1:-1]}> closes nothing", "take it away")

    # -- what is read over

    def _unexpected_text(self, token: Token, where: str) -> None:
        what = f"the text {shown(text(token.text))} stands in <{where}> outside of any element, and is ignored"
        self._problems.error(token.line, what, "put it into an element, or into <!-- -->")

    def _look_at_attributes(self, token: Token) -> None:
        if not token.attributes:
            return
        what = f"the attribute {shown(text(token.attributes))} is ignored"
        if b"/" in token.attributes:
            what = f"the stock wrapper takes the slash in {shown(text(token.attributes))} for the element's own"
        self._problems.error(token.line, what, "take it away; no element of a job.xml has an attribute")

    def _look_for_doubles(self, entries: Iterable[Entry]) -> None:
        seen: dict[str, Entry] = {}
        for entry in entries:
            earlier = seen.get(entry.element.name)
            if earlier and not entry.element.repeats:
                self._double(earlier, entry)
            seen[entry.element.name] = entry

    def _double(self, earlier: Entry, entry: Entry) -> None:
        name = entry.element.name
        if entry.element.of_vm and entry.value != earlier.value:
            what = f"<{name}> contradicts the one of line {earlier.line}"
            self._problems.refuse(entry.line, what, "write it once")
        else:
            what = f"<{name}> comes again, and the one of line {earlier.line} does not count"
            self._problems.error(entry.line, what, "write it once")


def _titled(token: Token) -> str:
    """A tag as it is told; of a declaration the first word, as the scanner takes what follows for attributes."""
    word = re.match("![A-Za-z]*", token.name)
    return f"<{word[0]} …>" if word else f"<{shown(token.name)[1:-1]}>"


def did_you_mean(name: str) -> str:
    """The remedy for an element that is misspelt."""
    return f"did you mean <{name}>?"


def _elsewhere(name: str) -> str:
    """The remedy for what looks like nothing that may stand here."""
    group = next((group.name for group in GROUPS.values() if name in group.members), "")
    return f"put it into a <{group}>" if group else _NOTHING_LIKE_IT


def _nearest(name: str, known: Iterable[str]) -> str:
    """What there is that looks most like it, or ""."""
    return next(iter(difflib.get_close_matches(name[:40], list(known), n=1)), "")
