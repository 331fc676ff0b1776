"""Queues: each message goes to one of those who listen, in turn, and waits while nobody can take it."""

from __future__ import annotations

from collections import deque

from vmcontroller.broker.destinations import matches, parse, parse_one
from vmcontroller.broker.limits import Limits
from vmcontroller.broker.message import Message
from vmcontroller.broker.subscription import Subscription
from vmcontroller.wire.stomp import ProtocolError


class Queue:
    """One queue: the messages that wait, and the subscriptions that share them."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.consumers: deque[Subscription] = deque()  # whose turn it is stands first
        self._name = name
        self._limits = limits
        self.waiting: deque[Message] = deque()
        self._octets = 0

    def put(self, message: Message) -> None:
        """Take in a message; ProtocolError when the queue is full."""
        limits = self._limits
        if len(self.waiting) >= limits.queue_messages or self._octets + len(message.body) > limits.queue_octets:
            raise ProtocolError(f"{self._name} is full: {len(self.waiting)} messages, {self._octets} octets")
        self.waiting.append(message)
        self._octets += len(message.body)
        self.pump()

    def put_back(self, messages: list[Message]) -> None:
        """Take in messages that were here before, to be the next again."""
        for message in reversed(messages):
            self.waiting.appendleft(message)
            self._octets += len(message.body)
        self.pump()

    def pump(self) -> None:
        """Deliver as long as somebody can take the next message."""
        while self.waiting and self.consumers:
            message = self.waiting[0]
            consumer = self._consumer_for(message)
            if consumer is None and not message.refused_by.issuperset(self.consumers):
                return
            self.waiting.popleft()
            self._octets -= len(message.body)
            if consumer is not None:  # else it is dropped: everyone who listens has refused it
                consumer.take(message)

    def _consumer_for(self, message: Message) -> Subscription | None:
        for _ in range(len(self.consumers)):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            if consumer.ready and consumer not in message.refused_by:
                return consumer
        return None


class Queues:
    """All queues."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: dict[str, Queue] = {}
        self._listening: dict[Subscription, list[Queue]] = {}

    def add(self, subscription: Subscription) -> None:
        """Listen, also to queues that begin later."""
        queues = [queue for name, queue in self._queues.items() if matches(subscription.parts, parse(name))]
        self._listening[subscription] = queues
        for queue in queues:
            queue.consumers.append(subscription)
        self.ready(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Listen no more. What the subscription took and did not acknowledge goes to others."""
        for queue in self._listening.pop(subscription):
            queue.consumers.remove(subscription)
        self._put_back(subscription.abandon())

    def send(self, message: Message) -> None:
        """Put a message into its queue. ProtocolError when that is full, one too many, or a pattern."""
        queue = self._queues.get(message.destination)
        if queue is None:
            self._make_room()
            queue = self._begin(message.destination)
        queue.put(message)

    def waiting(self, name: str) -> tuple[Message, ...]:
        """The messages that wait in a queue, the next one first."""
        queue = self._queues.get(name)
        return tuple(queue.waiting) if queue else ()

    def refused(self, subscription: Subscription, messages: list[Message]) -> None:
        """A NACK: the messages go to others who have not refused them; where there are none they are dropped."""
        for message in messages:
            message.refused_by |= {subscription}
        self._put_back(messages)

    def ready(self, subscription: Subscription) -> None:
        """A subscription can take more."""
        for queue in self._listening[subscription]:
            queue.pump()

    def _begin(self, name: str) -> Queue:
        parts = parse_one(name)
        queue = self._queues[name] = Queue(name, self._limits)
        for subscription, queues in self._listening.items():
            if matches(subscription.parts, parts):
                queue.consumers.append(subscription)
                queues.append(queue)
        return queue

    def _make_room(self) -> None:
        if len(self._queues) >= self._limits.queues:
            for name in [name for name, queue in self._queues.items() if not queue.waiting]:
                self._forget(name)
        if len(self._queues) >= self._limits.queues:
            raise ProtocolError(f"{len(self._queues)} queues hold messages, and there may be no more")

    def _forget(self, name: str) -> None:
        queue = self._queues.pop(name)
        for subscription in queue.consumers:
            self._listening[subscription].remove(queue)

    def _put_back(self, messages: list[Message]) -> None:
        for name in dict.fromkeys(message.destination for message in messages):
            queue = self._queues.get(name) or self._begin(name)
            queue.put_back([message for message in messages if message.destination == name])
