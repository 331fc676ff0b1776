"""The API's sentences in the words of the command line: they name methods, an operator types verbs."""

from __future__ import annotations

import re

_VALUE = "'[^']*'|[0-9]+"
#: ``listVMs``, ``listVMs()`` or ``start('w1')``; a word in small letters is a method only where it is called.
_METHOD = re.compile(rf"\b(?P<name>(?:system\.)?[a-z]+(?:[A-Z][A-Za-z]*)?)(?P<called>\((?:(?:{_VALUE})(?:, )?)*\))?")
#: The verbs that do what a method does; any other method is called.
_VERBS = {
    "listVMs": "vmcontroller list",
    "listRegisteredVMs": "vmcontroller list",
    "listSnapshots": "vmcontroller snapshot list",
    "getInfo": "vmcontroller status",
    "system.listMethods": "vmcontroller call help",
    "system.methodHelp": "vmcontroller call help",
}


def in_verbs(sentence: str) -> str:
    """The sentence of a fault, with ``vmcontroller list`` for ``listVMs()`` and so on."""
    return _METHOD.sub(_verb, sentence)


def _verb(found: re.Match[str]) -> str:
    name, called = found["name"], found["called"] or ""
    values = re.findall(_VALUE, called)
    if name in _VERBS:
        return " ".join([_VERBS[name], *values])
    if name == "start" and values:
        return " ".join(["vmcontroller start", *values])
    if called and not name.islower():
        return " ".join(["vmcontroller call", name, *values])
    return found[0]
