"""Which pattern stands for which destinations, and which pattern contains which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.broker.destinations import contained, is_pattern, matches, parse
from vmcontroller.wire.stomp import ProtocolError


class TestParse:
    def test_parts(self):
        assert parse("/topic/a.b") == ("topic", "a", "b")
        assert parse("/queue/a") == ("queue", "a")

    @pytest.mark.parametrize(
        "text", ["", "a", "/topic/", "topic/a", "/topic", "/topics/a", "/exchange/a", "//topic/a", "x/topic/a"]
    )
    def test_kind_must_be_known(self, text):
        with pytest.raises(ProtocolError, match="must be /topic/ or /queue/ and a name"):
            parse(text)

    @pytest.mark.parametrize("text", ["/topic/a..b", "/queue/.a", "/queue/a."])
    def test_no_component_is_empty(self, text):
        with pytest.raises(ProtocolError, match="nothing stands before, between or after its dots"):
            parse(text)

    def test_patterns(self):
        assert is_pattern(parse("/topic/a.*"))
        assert is_pattern(parse("/topic/#"))
        assert is_pattern(parse("/topic/a.>"))
        assert not is_pattern(parse("/topic/a*.b#"))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/topic/a.b", ["/topic/a.b"], ["/topic/a", "/topic/a.b.c", "/topic/A.b", "/queue/a.b"]),
        ("/topic/a.*", ["/topic/a.b", "/topic/a.c"], ["/topic/a", "/topic/a.b.c", "/topic/b.a"]),
        ("/topic/a.*.*.out", ["/topic/a.g.v.out"], ["/topic/a.g.out", "/topic/a.g.v.in", "/topic/a.g.h.v.out"]),
        ("/topic/a.#", ["/topic/a", "/topic/a.b", "/topic/a.b.c"], ["/topic/b", "/queue/a"]),
        ("/topic/a.>", ["/topic/a", "/topic/a.b.c"], ["/topic/b"]),
        ("/topic/#.z", ["/topic/z", "/topic/a.b.z", "/topic/z.z"], ["/topic/z.a"]),
        ("/topic/#", ["/topic/a", "/topic/a.b"], ["/queue/a"]),
        ("/queue/*", ["/queue/a"], ["/topic/a", "/queue/a.b"]),
    ],
)
def test_matches(pattern, yes, no):
    for destination in yes:
        assert matches(parse(pattern), parse(destination)), destination
    for destination in no:
        assert not matches(parse(pattern), parse(destination)), destination


@pytest.mark.parametrize(
    ("inner", "rules", "verdict"),
    [
        ("/topic/a.b", ["/topic/a.b"], True),
        ("/topic/a.*", ["/topic/a.b"], False),
        ("/topic/a.*", ["/topic/a.b", "/topic/a.c"], False),
        ("/topic/a.*", ["/topic/a.*"], True),
        ("/topic/a.b", ["/topic/*.b"], True),
        ("/topic/a.*", ["/topic/*.b"], False),
        ("/topic/*.*.out", ["/topic/#.out"], True),
        ("/topic/#.out", ["/topic/*.out"], False),
        ("/topic/#", ["/topic/a.#"], False),
        ("/topic/a.#", ["/topic/#"], True),
        ("/topic/#.*", ["/topic/*.#"], True),
        ("/topic/a.#", ["/topic/a", "/topic/a.*.#"], True),
        ("/topic/a.#", ["/topic/a", "/topic/a.*"], False),
        ("/queue/a", ["/topic/a", "/topic/#"], False),
        ("/queue/#", ["/queue/>"], True),
        ("/topic/a", [], False),
    ],
)
def test_contained(inner, rules, verdict):
    """A pattern is allowed when all that it stands for is, be it by several rules together."""
    assert contained(parse(inner), [parse(rule) for rule in rules]) is verdict


LETTERS = ("a", "b", "c")
#: Every destination of up to four components; c is in no pattern below and so stands for all others. The empty
#: name is no destination, but containment takes it for one: that errs on the safe side.
ALL = [("topic", *name) for length in range(5) for name in itertools.product(LETTERS, repeat=length)]
COMPONENTS = st.sampled_from(["a", "b", "*", "#", ">"])
PATTERNS = st.lists(COMPONENTS, min_size=1, max_size=4).map(lambda parts: ("topic", *parts))


def stands_for(pattern: tuple[str, ...], name: tuple[str, ...]) -> bool:
    """What the wildcards mean, said once more and as plainly as can be."""
    if not pattern or not name:
        return not name and all(part in ("#", ">") for part in pattern)
    if pattern[0] in ("#", ">"):
        return stands_for(pattern[1:], name) or stands_for(pattern, name[1:])
    return pattern[0] in ("*", name[0]) and stands_for(pattern[1:], name[1:])


@given(PATTERNS, st.sampled_from(ALL))
def test_matches_means_what_the_wildcards_mean(pattern, name):
    assert matches(pattern, name) == stands_for(pattern, name)


@given(PATTERNS, st.lists(PATTERNS, max_size=3))
def test_containment_lets_nothing_slip_through(inner, rules):
    """If it says contained, there is no destination that the pattern reaches and no rule allows."""
    if contained(inner, rules):
        for name in ALL:
            assert not stands_for(inner, name) or any(stands_for(rule, name) for rule in rules)


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=2).map(lambda parts: ("topic", *parts)),
    st.lists(st.lists(COMPONENTS, min_size=1, max_size=2).map(lambda parts: ("topic", *parts)), max_size=2),
)
def test_containment_refuses_nothing_without_a_reason(inner, rules):
    """If it says no, there is a destination that proves it; for patterns this short, one of four components."""
    if not contained(inner, rules):
        assert any(stands_for(inner, name) and not any(stands_for(rule, name) for rule in rules) for name in ALL)
