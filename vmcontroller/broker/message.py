"""One message on its way from a SEND to any number of consumers."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from vmcontroller.wire.stomp import Version, encode_headers

#: Headers of SEND that are between the sender and the broker, or that only the broker may set.
_NOT_PASSED_ON = frozenset({"destination", "receipt", "message-id", "subscription", "ack", "content-length"})


class Sender(typing.Protocol):
    """Who sent it, and can be made to wait."""

    def hold(self, consumer: object) -> None:
        """Read no more from the sender until ``release``."""

    def release(self, consumer: object) -> None:
        """Read on, as far as this consumer goes."""


class Message:
    """Its octets are made once for each version, however many consumers it has.

    ``sender`` is None when who sent it is not to be made to wait. ``refused_by`` holds the subscriptions that
    said NACK.
    """

    __slots__ = ("_tails", "body", "destination", "headers", "id", "refused_by", "sender")

    def __init__(
        self, id: str, destination: str, headers: Mapping[str, str], body: bytes, sender: Sender | None = None
    ) -> None:
        self.id = id
        self.destination = destination
        self.headers = headers
        self.body = body
        self.sender = sender
        self.refused_by: frozenset[object] = frozenset()
        self._tails: dict[Version, bytes] = {}

    def tail(self, version: Version) -> bytes:
        """The MESSAGE frame without its command and what is special to one subscription."""
        return self._tails.get(version) or self._encode(version)

    def _encode(self, version: Version) -> bytes:
        headers = {"destination": self.destination, "message-id": self.id}
        headers |= {name: value for name, value in self.headers.items() if name not in _NOT_PASSED_ON}
        head, body = encode_headers(headers, version), self.body
        tail = self._tails[version] = b"%bcontent-length:%d\n\n%b\0\n" % (head, len(body), body)
        return tail
