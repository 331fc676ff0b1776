"""Who may log in, and which destinations each login may read and write."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from vmcontroller.broker.destinations import contained, parse
from vmcontroller.wire.keys import same
from vmcontroller.wire.stomp import ProtocolError

_REMEMBERED = 1024


class Patterns:
    """Destinations that are allowed; it remembers what it was asked."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts = frozenset(patterns)
        self._patterns = [parse(pattern) for pattern in self.texts]
        self._known: dict[str, bool] = {}

    def contain(self, destination: str) -> bool:
        """Whether all that a destination or pattern stands for is allowed. ProtocolError when it is neither."""
        known = self._known.get(destination)
        return self._judge(destination) if known is None else known

    def _judge(self, destination: str) -> bool:
        verdict = contained(parse(destination), self._patterns)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[destination] = verdict
        return verdict


class Rule:
    """What one login may do."""

    def __init__(self, passcode: str, read: Iterable[str], write: Iterable[str], flow_control: bool) -> None:
        self.passcode = passcode
        self.read = Patterns(read)
        self.write = Patterns(write)
        self.flow_control = flow_control

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]  # holds what it was asked

    def _values(self) -> tuple[object, ...]:
        return (self.passcode, self.read.texts, self.write.texts, self.flow_control)


class Logins:
    """The rules by login."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._nobody = Rule(secrets.token_hex(), (), (), True)

    def allow(self, login: str, rule: Rule) -> bool:
        """Let a login in; true when this changed its rule."""
        before = self._rules.get(login)
        self._rules[login] = rule
        return before is not None and before != rule

    def forbid(self, login: str) -> None:
        """Let a login in no more."""
        self._rules.pop(login, None)

    def admit(self, login: str, passcode: str) -> Rule:
        """The rule of a login. ProtocolError, which does not say which of the two is wrong.

        An unknown login takes as long as a wrong passcode.
        """
        rule = self._rules.get(login, self._nobody)
        if not same(passcode, rule.passcode):
            raise ProtocolError("the login or the passcode is wrong")
        return rule
