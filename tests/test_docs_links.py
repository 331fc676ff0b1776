"""Every link of the documentation leads somewhere, and so does every page that the code speaks of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(path for top in ("docs", "job_xml") for path in (ROOT / top).rglob("*.md"))]
PACKAGES = ("vmcontroller", "vmcontroller_guest", "wrapper", "job_xml", "tests", "docs")
CODE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """What can stand behind ``#``: the headings, in lower case, with dashes for blanks and without other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading in it; other sites are not asked."""
    dead = []
    for target in LINK.findall(CODE.sub("`code`", page.read_text(encoding="utf-8"))):
        name, _, anchor = target.partition("#")
        leads_to = (page.parent / name).resolve() if name else page
        if "://" in target:
            continue
        if not leads_to.exists() or (anchor and anchor not in anchors(leads_to)):
            dead.append(target)
    assert dead == []


def test_pages_that_the_code_speaks_of_exist() -> None:
    """A docstring or a message that sends its reader to a page sends him to one that is there."""
    dead = {}
    for source in (path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        for name in re.findall(r"docs/[\w\-/]+\.md", source.read_text(encoding="utf-8")):
            if not (ROOT / name).exists():
                dead[str(source.relative_to(ROOT))] = name
    assert dead == {}


def test_every_page_can_be_found() -> None:
    """From the README, link by link."""
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        found.add(page)
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            linked = (page.parent / target.partition("#")[0]).resolve()
            if linked.suffix == ".md" and linked.exists() and linked not in found:
                todo.append(linked)
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - found == set()
