"""Topics: everyone who listens gets every message; nobody listening, it is gone."""

from __future__ import annotations

from vmcontroller.broker.destinations import is_pattern, matches, parse_one
from vmcontroller.broker.message import Message
from vmcontroller.broker.subscription import Subscription

_REMEMBERED = 1024


class Topics:
    """All subscriptions on topics, and who is reached from where."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, ...], list[Subscription]] = {}
        self._patterns: list[Subscription] = []
        self._routes: dict[str, tuple[Subscription, ...]] = {}

    def add(self, subscription: Subscription) -> None:
        """Listen."""
        self._listeners(subscription).append(subscription)
        self._routes.clear()

    def remove(self, subscription: Subscription) -> None:
        """Listen no more."""
        listeners = self._listeners(subscription)
        listeners.remove(subscription)
        if not listeners:
            self._exact.pop(subscription.parts, None)
        self._routes.clear()

    def send(self, message: Message) -> None:
        """Deliver to everyone who listens. ProtocolError when it is addressed to a pattern."""
        route = self._routes.get(message.destination)
        for subscription in self._find_route(message.destination) if route is None else route:
            subscription.take(message)

    def refused(self, subscription: Subscription, messages: list[Message]) -> None:
        """A NACK: nobody else waits for these messages."""

    def ready(self, subscription: Subscription) -> None:
        """A subscription can take more: nothing is kept for it."""

    def _listeners(self, subscription: Subscription) -> list[Subscription]:
        if is_pattern(subscription.parts):
            return self._patterns
        return self._exact.setdefault(subscription.parts, [])

    def _find_route(self, destination: str) -> tuple[Subscription, ...]:
        parts = parse_one(destination)
        by_pattern = [listener for listener in self._patterns if matches(listener.parts, parts)]
        if len(self._routes) >= _REMEMBERED:
            self._routes.clear()
        route = self._routes[destination] = (*self._exact.get(parts, ()), *by_pattern)
        return route
