"""What a client may say once it has logged in, command by command."""

from __future__ import annotations

import typing
from collections.abc import Callable

from vmcontroller.broker.destinations import is_topic
from vmcontroller.broker.limits import Limits
from vmcontroller.broker.message import Message, Sender
from vmcontroller.broker.outbox import Outbox
from vmcontroller.broker.rules import Rule
from vmcontroller.broker.subscription import ACK_MODES, AUTO, CLIENT, Acknowledged, Subscription
from vmcontroller.wire.stomp import Frame, ProtocolError, Version


class Destinations(typing.Protocol):
    """Topics, or queues: see there."""

    def add(self, subscription: Subscription) -> None: ...
    def remove(self, subscription: Subscription) -> None: ...
    def send(self, message: Message) -> None: ...
    def refused(self, subscription: Subscription, messages: list[Message]) -> None: ...
    def ready(self, subscription: Subscription) -> None: ...


class Hub(typing.Protocol):
    """What all sessions share."""

    limits: Limits
    topics: Destinations
    queues: Destinations

    def new_message_id(self) -> str:
        """An id that no other message has; it holds no dot."""


class Session:
    """One client that has logged in. Whatever it may not do is a ProtocolError."""

    def __init__(self, hub: Hub, login: str, rule: Rule, version: Version, outbox: Outbox, sender: Sender) -> None:
        self.login = login
        self._hub = hub
        self._rule = rule
        self._version = version
        self._outbox = outbox
        self._sender = sender if rule.flow_control else None
        self._subscriptions: dict[str, Subscription] = {}
        self._commands: dict[str, Callable[[Frame], None]] = {
            "SEND": self._send,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "ACK": self._ack,
            "NACK": self._nack,
            "DISCONNECT": lambda frame: None,
            "BEGIN": _no_transactions,
            "COMMIT": _no_transactions,
            "ABORT": _no_transactions,
        }

    def obey(self, frame: Frame) -> None:
        """Do what a frame says."""
        command = self._commands.get(frame.cmd)
        if command is None:
            raise ProtocolError(f"{frame.cmd} cannot be said here: the client has logged in, and is no broker")
        if "transaction" in frame.headers:
            _no_transactions(frame)
        command(frame)

    def ready(self) -> None:
        """The client reads again."""
        for subscription in list(self._subscriptions.values()):
            self._place(subscription.destination).ready(subscription)

    def end(self) -> None:
        """The client is gone."""
        while self._subscriptions:
            _, subscription = self._subscriptions.popitem()
            self._place(subscription.destination).remove(subscription)

    # -- the commands

    def _send(self, frame: Frame) -> None:
        destination = self._destination(frame)
        if not self._rule.write.contain(destination):
            raise ProtocolError(f"{self.login!r} may not send to {destination!r}")
        message = Message(self._hub.new_message_id(), destination, frame.headers, frame.body, self._sender)
        self._place(destination).send(message)

    def _subscribe(self, frame: Frame) -> None:
        destination, name = self._destination(frame), self._name(frame)
        if not self._rule.read.contain(destination):
            raise ProtocolError(f"{self.login!r} may not subscribe to {destination!r}")
        if name in self._subscriptions:
            raise ProtocolError(f"there is a subscription {name!r} already")
        if len(self._subscriptions) >= self._hub.limits.subscriptions:
            raise ProtocolError(f"there are {len(self._subscriptions)} subscriptions already, and may be no more")
        subscription = self._subscriptions[name] = self._new_subscription(frame, destination)
        self._place(destination).add(subscription)

    def _new_subscription(self, frame: Frame, destination: str) -> Subscription:
        id, mode = frame.headers.get("id"), frame.headers.get("ack", AUTO)
        if mode not in ACK_MODES:
            raise ProtocolError(f"ack is {mode!r}; it must be one of {', '.join(ACK_MODES)}")
        if mode == AUTO:
            return Subscription(id, destination, self._version, self._outbox)
        most = self._hub.limits.unacknowledged
        return Acknowledged(id, destination, self._version, self._outbox, most, mode == CLIENT)

    def _unsubscribe(self, frame: Frame) -> None:
        subscription = self._subscription(self._name(frame))
        del self._subscriptions[self._name(frame)]
        self._place(subscription.destination).remove(subscription)

    def _ack(self, frame: Frame) -> None:
        subscription, message_id = self._answered(frame)
        subscription.settle(message_id)
        self._place(subscription.destination).ready(subscription)

    def _nack(self, frame: Frame) -> None:
        subscription, message_id = self._answered(frame)
        self._place(subscription.destination).refused(subscription, subscription.settle(message_id))
        self._place(subscription.destination).ready(subscription)

    # -- what a frame speaks of

    def _destination(self, frame: Frame) -> str:
        destination = _required(frame, "destination")
        if len(destination) > self._hub.limits.destination:
            raise ProtocolError(f"a destination is longer than {self._hub.limits.destination} characters")
        return destination

    def _name(self, frame: Frame) -> str:
        """What the client calls a subscription; in 1.0 the destination may do for an id."""
        if self._version is Version.V1_0 and "id" not in frame.headers:
            return _required(frame, "destination")
        return _required(frame, "id")

    def _subscription(self, name: str) -> Subscription:
        if name not in self._subscriptions:
            raise ProtocolError(f"there is no subscription {name!r}")
        return self._subscriptions[name]

    def _answered(self, frame: Frame) -> tuple[Subscription, str]:
        """The subscription and the message that an ACK or NACK is about."""
        if self._version is Version.V1_2:
            message_id, _, name = _required(frame, "id").partition(".")
            return self._subscription(name), message_id
        message_id = _required(frame, "message-id")
        if self._version is Version.V1_0 and "subscription" not in frame.headers:
            return self._holder(message_id), message_id
        return self._subscription(_required(frame, "subscription")), message_id

    def _holder(self, message_id: str) -> Subscription:
        subscriptions = list(self._subscriptions.values())
        if not subscriptions:
            raise ProtocolError("nothing is subscribed to that could be acknowledged")
        return next((s for s in subscriptions if s.holds(message_id)), subscriptions[0])

    def _place(self, destination: str) -> Destinations:
        return self._hub.topics if is_topic(destination) else self._hub.queues


def _required(frame: Frame, header: str) -> str:
    try:
        return frame.headers[header]
    except KeyError:
        raise ProtocolError(f"{frame.cmd} lacks the header {header!r}") from None


def _no_transactions(frame: Frame) -> None:
    raise ProtocolError(f"{frame.cmd} speaks of a transaction; this broker has none, so say everything outside of one")
