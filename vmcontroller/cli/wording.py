"""The API's sentences in the words of the command line: they name methods, an operator types verbs."""

from __future__ import annotations

import re

_METHOD = re.compile(r"\b(?P<name>(?:system\.)?[a-z]+[A-Z][A-Za-z]*)(?P<called>\(\))?")
#: The verbs that tell what a method tells; any other method is called.
_VERBS = {
    "listVMs": "vmcontroller list",
    "listRegisteredVMs": "vmcontroller list",
    "listSnapshots": "vmcontroller snapshot list",
    "getInfo": "vmcontroller status",
}


def in_verbs(sentence: str) -> str:
    """The sentence of a fault, with ``vmcontroller list`` for ``listVMs()`` and so on."""
    return _METHOD.sub(_verb, sentence)


def _verb(found: re.Match[str]) -> str:
    name = found["name"]
    return _VERBS.get(name, f"vmcontroller call {name}" if found["called"] else name)
