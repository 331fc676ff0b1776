"""Whatever listeners do, each message of a queue is in one place at a time, and none is lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from vmcontroller.broker.destinations import matches, parse
from vmcontroller.broker.limits import Limits
from vmcontroller.broker.message import Message
from vmcontroller.broker.queues import Queues
from vmcontroller.broker.subscription import Acknowledged, Subscription
from vmcontroller.wire.stomp import Version

ALL_NAMES = ("/queue/a.1", "/queue/a.2", "/queue/b")
NAMES = st.sampled_from(ALL_NAMES)
PATTERNS = st.sampled_from(["/queue/a.1", "/queue/a.*", "/queue/#"])


class Outbox:
    """Notes what is delivered; reads or does not."""

    def __init__(self) -> None:
        self.ready = True
        self.delivered: list[str] = []

    def write(self, opening: bytes, tail: bytes, sender: object) -> None:
        assert self.ready, "a queue waits for who does not read"
        self.delivered.append(tail.partition(b"\n\n")[2].removesuffix(b"\0\n").decode())


class Listener:
    """A subscription with its outbox, and the messages that it has not acknowledged."""

    def __init__(self, number: int, pattern: str, mode: str) -> None:
        self.outbox, self.mode = Outbox(), mode
        if mode == "auto":
            self.subscription = Subscription(str(number), pattern, Version.V1_2, self.outbox)
        else:
            self.subscription = Acknowledged(str(number), pattern, Version.V1_2, self.outbox, 3, mode == "client")
        self.held: list[str] = []


class QueueMachine(RuleBasedStateMachine):
    """Sends, listens, acknowledges, refuses, stops reading, leaves, in any order."""

    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.queues = Queues(Limits())
        self.present: list[Listener] = []
        self.messages: list[Message] = []
        self.waiting: set[str] = set()

    @rule(name=NAMES)
    def send(self, name):
        id = str(len(self.messages))
        self.messages.append(Message(id, name, {}, id.encode()))
        self.waiting.add(id)
        self.queues.send(self.messages[-1])
        self.note_deliveries()

    @rule(target=listeners, pattern=PATTERNS, mode=st.sampled_from(["auto", "client", "client-individual"]))
    def listen(self, pattern, mode):
        listener = Listener(len(self.present), pattern, mode)
        self.present.append(listener)
        self.queues.add(listener.subscription)
        self.note_deliveries()
        return listener

    @rule(listener=consumes(listeners))
    def leave(self, listener):
        """What it held waits again."""
        self.present.remove(listener)
        listener.outbox.ready = False
        self.waiting |= set(listener.held)
        self.queues.remove(listener.subscription)
        self.note_deliveries()

    @rule(listener=listeners, data=st.data())
    def ack(self, listener, data):
        self._settle(listener, data)
        self.queues.ready(listener.subscription)
        self.note_deliveries()

    @rule(listener=listeners, data=st.data())
    def nack(self, listener, data):
        """What is refused waits again."""
        settled = self._settle(listener, data)
        self.waiting |= {message.id for message in settled}
        self.queues.refused(listener.subscription, settled)
        self.note_deliveries()

    def _settle(self, listener, data) -> list[Message]:
        if not listener.held:
            return []
        settled = listener.subscription.settle(data.draw(st.sampled_from(listener.held)))
        for message in settled:
            listener.held.remove(message.id)
        return settled

    @rule(listener=listeners, reads=st.booleans())
    def read_or_not(self, listener, reads):
        listener.outbox.ready = reads
        self.queues.ready(listener.subscription)
        self.note_deliveries()

    def note_deliveries(self) -> None:
        """A message that is delivered was waiting, and waits no longer."""
        for listener in self.present:
            for id in listener.outbox.delivered:
                self.waiting.remove(id)
                if listener.mode != "auto":
                    listener.held.append(id)
            listener.outbox.delivered.clear()

    @invariant()
    def nothing_is_lost_or_doubled(self):
        """But for what everyone who listens has refused."""
        kept = [message.id for name in ALL_NAMES for message in self.queues.waiting(name)]
        assert len(kept) == len(set(kept))
        assert self.waiting.issuperset(kept)
        for id in self.waiting.difference(kept):
            self.waiting.remove(id)
            self.is_refused_by_all(self.messages[int(id)])

    def is_refused_by_all(self, message: Message) -> None:
        listening = {
            listener.subscription
            for listener in self.present
            if matches(listener.subscription.parts, parse(message.destination))
        }
        assert message.refused_by
        assert message.refused_by >= listening

    @invariant()
    def nobody_holds_too_many(self):
        assert all(len(listener.held) <= 3 for listener in self.present)


TestQueueModel = QueueMachine.TestCase
TestQueueModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
