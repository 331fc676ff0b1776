"""One subscription of one client, by its ack mode."""

from __future__ import annotations

from collections import OrderedDict

from vmcontroller.broker.destinations import parse
from vmcontroller.broker.message import Message
from vmcontroller.broker.outbox import Outbox
from vmcontroller.wire.stomp import ProtocolError, Version, encode_headers

AUTO, CLIENT, CLIENT_INDIVIDUAL = ACK_MODES = ("auto", "client", "client-individual")


class Subscription:
    """ack:auto: what was written is done with. ``id`` is the client's name for it, None in an old client's."""

    def __init__(self, id: str | None, destination: str, version: Version, outbox: Outbox) -> None:
        self.destination = destination
        self.parts = parse(destination)
        self._version = version
        self._outbox = outbox
        self._opening = b"MESSAGE\n" + (b"" if id is None else encode_headers({"subscription": id}, version))

    @property
    def ready(self) -> bool:
        """Whether a message that could wait, or go elsewhere, should come here now."""
        return self._outbox.ready

    def take(self, message: Message) -> None:
        """Deliver a message."""
        self._outbox.write(self._opening, message.tail(self._version), message.sender)

    def holds(self, message_id: str) -> bool:
        """Whether a message waits for its ACK: here none ever does."""
        return False

    def settle(self, message_id: str) -> list[Message]:
        """The messages that an ACK or NACK is about; they wait no longer."""
        return []

    def abandon(self) -> list[Message]:
        """The messages that nobody will answer for any more, oldest first."""
        return []


class Acknowledged(Subscription):
    """ack:client, where one ACK is for all up to it (``cumulative``), and ack:client-individual.

    At most ``most`` messages wait for their ACK.
    """

    def __init__(
        self, id: str | None, destination: str, version: Version, outbox: Outbox, most: int, cumulative: bool
    ) -> None:
        super().__init__(id, destination, version, outbox)
        self._most = most
        self._cumulative = cumulative
        self._unsettled: OrderedDict[str, Message] = OrderedDict()
        self._ack = encode_headers({"ack": f".{id}"}, version).removeprefix(b"ack:")

    @property
    def ready(self) -> bool:
        """See Subscription."""
        return self._outbox.ready and len(self._unsettled) < self._most

    def take(self, message: Message) -> None:
        """Deliver a message and wait for its ACK. A queue looks at ``ready`` first; a topic cannot wait."""
        if len(self._unsettled) >= self._most:
            return self._outbox.overflow(f"more than {self._most} messages are not acknowledged")
        self._unsettled[message.id] = message
        ack = b"ack:%b%b" % (message.id.encode(), self._ack) if self._version is Version.V1_2 else b""
        self._outbox.write(self._opening + ack, message.tail(self._version), message.sender)

    def holds(self, message_id: str) -> bool:
        """See Subscription."""
        return message_id in self._unsettled

    def settle(self, message_id: str) -> list[Message]:
        """See Subscription. ProtocolError when it holds no such message."""
        if message_id not in self._unsettled:
            raise ProtocolError(f"no message {message_id!r} waits to be acknowledged")
        if not self._cumulative:
            return [self._unsettled.pop(message_id)]
        settled: list[Message] = []
        while not settled or settled[-1].id != message_id:
            settled.append(self._unsettled.popitem(last=False)[1])
        return settled

    def abandon(self) -> list[Message]:
        """See Subscription."""
        messages = list(self._unsettled.values())
        self._unsettled.clear()
        return messages
