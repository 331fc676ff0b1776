"""Names of destinations, the patterns that stand for many of them, and which pattern contains which.

A destination is ``/topic/NAME`` or ``/queue/NAME``; dots cut NAME into components. In a pattern ``*`` stands for
one component, ``#`` and ``>`` for any number of them, also none.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from vmcontroller.wire.stomp import ProtocolError

#: A destination or pattern in parts: its kind, then its components.
Parts = tuple[str, ...]

_KINDS = ("topic", "queue")
_ONE = "*"
_MANY = ("#", ">")
#: Stands for a component that no pattern names. No destination can hold it, because components are not empty.
_ANY_OTHER = ""


def parse(destination: str) -> Parts:
    """``/topic/a.b`` as ("topic", "a", "b"). ProtocolError when it is no destination."""
    empty, _, rest = destination.partition("/")
    kind, _, name = rest.partition("/")
    components = name.split(".")
    if empty or kind not in _KINDS or not name:
        raise ProtocolError(f"{destination!r} is no destination: it must be /topic/ or /queue/ and a name")
    if "" in components:
        raise ProtocolError(f"{destination!r} is no destination: nothing stands before, between or after its dots")
    return (kind, *components)


def parse_one(destination: str) -> Parts:
    """The same of a single destination. ProtocolError for a pattern, too."""
    parts = parse(destination)
    if is_pattern(parts):
        raise ProtocolError(f"{destination!r} is a pattern; a message goes to one destination")
    return parts


def is_topic(destination: str) -> bool:
    """Whether a destination that ``parse`` takes is a topic; else it is a queue."""
    return destination.startswith("/topic/")


def is_pattern(parts: Parts) -> bool:
    """Whether ``parts`` stand for more than one destination."""
    return _ONE in parts or any(many in parts for many in _MANY)


def matches(pattern: Parts, parts: Parts) -> bool:
    """Whether a pattern stands for this one destination."""
    return contained(parts, [pattern])


def contained(parts: Parts, patterns: Iterable[Parts]) -> bool:
    """Whether every destination that ``parts`` stand for is one that some of ``patterns`` stands for.

    Walks through ``parts`` and through all patterns at once, keeping the set of what is left of each pattern.
    Where ``parts`` have a wildcard it is enough to try a component that no pattern names: whatever
    accepts that one accepts every other there.
    """
    start = (parts, _settled(patterns))
    seen, unexplored = {start}, [start]
    while unexplored:
        left, rests = unexplored.pop()
        if not left and () not in rests:
            return False
        for place in _onward(left, rests):
            if place not in seen:
                seen.add(place)
                unexplored.append(place)
    return True


_Rests = frozenset[Parts]


def _onward(left: Parts, rests: _Rests) -> list[tuple[Parts, _Rests]]:
    if not left:
        return []
    if left[0] in _MANY:
        return [(left[1:], rests), (left, _after(_ANY_OTHER, rests))]
    return [(left[1:], _after(_ANY_OTHER if left[0] == _ONE else left[0], rests))]


def _after(component: str, rests: _Rests) -> _Rests:
    """What is left of the patterns after one more component."""
    stay = [rest for rest in rests if rest and rest[0] in _MANY]
    move = [rest[1:] for rest in rests if rest and rest[0] in (_ONE, component)]
    return _settled(stay + move)


def _settled(rests: Iterable[Parts]) -> _Rests:
    """With each rest also what is left of it when its leading ``#`` stands for nothing."""
    settled: set[Parts] = set()
    for rest in rests:
        leading = len(list(takewhile(_MANY.__contains__, rest)))
        settled.update(rest[skipped:] for skipped in range(leading + 1))
    return frozenset(settled)
