"""A blocking STOMP client of the standard library alone, so that every broker is measured with the same one."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

SECONDS = 60
_LENGTH = re.compile(rb"\ncontent-length:(\d+)")


@dataclass(frozen=True)
class Server:
    """A broker that listens on loopback."""

    name: str
    port: int
    login: str = "guest"
    passcode: str = "guest"


class Client:
    """One connection, logged in."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._octets, self._at = bytearray(), 0
        login = f"login:{server.login}\npasscode:{server.passcode}"
        self._say(f"CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\n{login}\n\n".encode())
        self.expect(b"CONNECTED")

    def send(self, destination: str, body: bytes) -> None:
        """One frame in one write."""
        self._say(b"SEND\ndestination:%b\ncontent-length:%d\n\n%b" % (destination.encode(), len(body), body))

    def subscribe(self, destination: str) -> None:
        """Subscribe, and wait until it is so."""
        self._say(f"SUBSCRIBE\nid:1\ndestination:{destination}\nack:auto\nreceipt:s\n\n".encode())
        self.expect(b"RECEIPT")

    def close(self) -> None:
        """Leave when the broker has taken everything."""
        self._say(b"DISCONNECT\nreceipt:d\n\n")
        self.expect(b"RECEIPT")
        self.socket.close()

    def expect(self, command: bytes) -> bytes:
        """The body of the next frame, which must be of this kind."""
        while (found := self.take()) is None:
            self.fill()
        if found[0] != command:
            raise RuntimeError(f"{command!r} was expected, and came: {found}")
        return found[1]

    def fill(self) -> None:
        """Wait for more octets."""
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the broker hung up")
        self._octets += data

    def take(self) -> tuple[bytes, bytes] | None:
        """Command and body of the next frame that is whole."""
        octets, start = self._octets, self._at
        while start < len(octets) and octets[start] == 10:
            start += 1
        if (blank := octets.find(b"\n\n", start)) < 0:
            return None
        head = bytes(octets[start:blank])
        length = _LENGTH.search(head)
        end = blank + 2 + int(length[1]) if length else octets.find(0, blank)
        if not 0 <= end < len(octets):
            return None
        body = bytes(octets[blank + 2 : end])
        self._at = end + 1
        if self._at > 1 << 20:
            del octets[: self._at]
            self._at = 0
        return head.partition(b"\n")[0], body

    def _say(self, frame: bytes) -> None:
        self.socket.sendall(frame + b"\0")
